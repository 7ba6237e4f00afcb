/** What was set up and has to be taken down again, in the opposite order, whatever goes wrong on the way. */

export class UndoStack {
  readonly #steps: { what: string; undo: () => void | Promise<void> }[] = [];

  push(what: string, undo: () => void | Promise<void>): void {
    this.#steps.push({ what, undo });
  }

  /** Never throws: `onFailure` hears of a step that failed, and the rest is taken down all the same. */
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
