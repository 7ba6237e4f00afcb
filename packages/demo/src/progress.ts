/** Says what the demo does while it does it: one line a step, with its time; a spinner only on a terminal. */
import { performance } from "node:perf_hooks";

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const FRAME_MS = 100;
const CLEAR_LINE = "\r\u001b[K";

export interface Output {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export class Progress {
  constructor(readonly output: Output) {}

  /** Runs `action`; then prints what `detail` makes of its result. A failure is marked and passed on. */
  async step<T>(name: string, action: () => Promise<T>, detail: (result: T) => string): Promise<T> {
    const start = performance.now();
    const seconds = (): string => `${((performance.now() - start) / 1000).toFixed(1)} s`;
    const stopSpinner = this.#spin(name, seconds);
    try {
      const result = await action();
      stopSpinner();
      this.output.write(`  ✓ ${name.padEnd(34)} ${seconds().padStart(7)}  ${detail(result)}\n`);
      return result;
    } catch (error) {
      stopSpinner();
      this.output.write(`  ✗ ${name.padEnd(34)} ${seconds().padStart(7)}\n`);
      throw error;
    }
  }

  #spin(name: string, seconds: () => string): () => void {
    if (this.output.isTTY !== true) return () => {};
    let frame = 0;
    const draw = (): void => {
      this.output.write(`${CLEAR_LINE}  ${FRAMES[frame++ % FRAMES.length]} ${name} ${seconds()}`);
    };
    draw();
    const timer = setInterval(draw, FRAME_MS);
    return () => {
      clearInterval(timer);
      this.output.write(CLEAR_LINE);
    };
  }
}
