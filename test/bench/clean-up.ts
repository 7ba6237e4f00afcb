/** Undoes the steps of the benchmark, in reverse, however it ends: mounts before the directories and loop devices below them. */
import { messageOf } from "./bench-error.js";

export type Undo = () => void | Promise<void>;

export class CleanUp {
  readonly #pending: Undo[] = [];

  /** Runs `undo` at the end. The returned function runs it now instead; twice does nothing. */
  add(undo: Undo): () => Promise<void> {
    this.#pending.push(undo);
    return async () => {
      const at = this.#pending.indexOf(undo);
      if (at < 0) return;
      this.#pending.splice(at, 1);
      await undo();
    };
  }

  /** Everything is tried. Resolves to the failures, one line each. */
  async run(): Promise<string[]> {
    const complaints: string[] = [];
    for (let undo = this.#pending.pop(); undo !== undefined; undo = this.#pending.pop()) {
      try {
        await undo();
      } catch (error) {
        complaints.push(messageOf(error));
      }
    }
    return complaints;
  }
}
