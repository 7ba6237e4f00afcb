/** The steps that take a mount down again, in the reverse order of its setup. A step that fails does not stop the others. */

export class UndoStack {
  readonly #steps: { what: string; undo: () => void | Promise<void> }[] = [];

  push(what: string, undo: () => void | Promise<void>): void {
    this.#steps.push({ what, undo });
  }

  /** Never throws: `onFailure` gets the error of a step that failed, and the other steps run. */
  async run(onFailure: (what: string, error: unknown) => void): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step.undo();
      } catch (error) {
        onFailure(step.what, error);
      }
    }
  }
}
