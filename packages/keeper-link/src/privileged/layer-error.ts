/** A layer that cannot be used: its path, the problem and the remedy, for the command line. */
export class LayerError extends Error {
  constructor(
    readonly path: string,
    readonly problem: string,
    readonly remedy: string,
  ) {
    super(`${path}: ${problem}: ${remedy}`);
    this.name = "LayerError";
  }
}
