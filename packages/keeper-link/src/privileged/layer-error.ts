/** A layer that cannot be used: what, why, and what to do about it, as the command line will say it. */
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
