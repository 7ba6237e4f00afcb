/** Starts tasks in processes of their own, each the leader of its group so that its children end with it. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { DemoError } from "./demo-error.js";
import type { MessageFromTask, MessageToTask, TaskName, TaskTable } from "./tasks/task-table.js";

const TASK_MAIN = fileURLToPath(new URL("./tasks/task-main.js", import.meta.url));

export interface RunningTask<Output> {
  /** Rejects with DemoError if the task failed, took too long or was killed. */
  result: Promise<Output>;
  /** Resolves when the task waits to be told to go on; rejects if it ends before. */
  ready: Promise<void>;
  go(): void;
}

/** Sends SIGKILL to a process and all it started. It having ended already is what was wanted. */
export function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

export class TaskRunner {
  readonly #running = new Set<ChildProcess>();

  /** `timeoutMs` bounds the whole task: a stuck mount must not hold the demo. */
  start<N extends TaskName>(name: N, input: TaskTable[N]["input"], timeoutMs: number): RunningTask<TaskTable[N]["output"]> {
    // Standard output is the demo's alone; a task's complaints on stderr still reach a person.
    const child = fork(TASK_MAIN, { detached: true, stdio: ["ignore", "ignore", "inherit", "ipc"] });
    this.#running.add(child);
    const tell = (message: MessageToTask): void => void child.send(message, () => {});
    let onReady = (): void => {};
    const result = new Promise<TaskTable[N]["output"]>((resolve, reject) => {
      const timer = setTimeout(() => {
        killGroup(child.pid);
        reject(new DemoError(1, `${name}: did not finish within ${timeoutMs / 1000} s`));
      }, timeoutMs);
      child.on("message", (message: MessageFromTask) => {
        if (message.kind === "ready") onReady();
        else if (message.kind === "done") resolve(message.output as TaskTable[N]["output"]);
        else reject(new DemoError(1, `${name}: ${message.message}`));
      });
      child.on("error", (cause) => reject(new DemoError(1, `${name}: cannot be started: ${cause.message}`, { cause })));
      child.on("exit", (code, signal) => {
        clearTimeout(timer);
        this.#running.delete(child);
        reject(new DemoError(1, `${name}: ended with ${signal ?? `status ${code}`} before it was done`));
      });
      tell({ kind: "start", name, input });
    });
    const ready = new Promise<void>((resolve, reject) => {
      onReady = resolve;
      result.catch(reject);
    });
    // Whoever awaits neither is told by the other.
    ready.catch(() => {});
    return { result, ready, go: () => tell({ kind: "go" }) };
  }

  run<N extends TaskName>(name: N, input: TaskTable[N]["input"], timeoutMs: number): Promise<TaskTable[N]["output"]> {
    return this.start(name, input, timeoutMs).result;
  }

  killAll(): void {
    for (const child of this.#running) killGroup(child.pid);
  }
}
