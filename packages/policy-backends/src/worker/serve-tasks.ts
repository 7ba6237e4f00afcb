/** The loop of an engine's thread: one setup, then task after task. Knows nothing of policies. */
import { parentPort } from "node:worker_threads";
import type { FromWorker, ToWorker } from "./worker-pool.js";

/** A setup that is refused, with the facts for a good error message. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  constructor(
    message: string,
    readonly data?: unknown,
  ) {
    super(message);
  }
}

export interface Served<Setup, Input> {
  setup(setup: Setup): unknown;
  run(input: Input): unknown;
}

export function serveTasks<Setup, Input>(served: Served<Setup, Input>): void {
  const port = parentPort;
  if (port === null) throw new Error("this program is a thread of the decision service");
  port.on("message", ({ task, input }: ToWorker) => {
    let answer: FromWorker;
    try {
      const output = task === 0 ? served.setup(input as Setup) : served.run(input as Input);
      answer = { task, ok: true, output };
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      answer = { task, ok: false, error: message, data: error instanceof Refusal ? error.data : undefined };
    }
    port.postMessage(answer);
  });
}
