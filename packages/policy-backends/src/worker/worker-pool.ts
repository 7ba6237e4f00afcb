/**
 * Engines in threads of their own, a few of them, with a time budget for each task: one that is over it is ended together
 * with its thread, and answered with an error; those behind it go on in a new thread. So neither an endless evaluation nor
 * a crash stalls the event loop or takes anybody's question away. Knows nothing of policies.
 */
import { Worker } from "node:worker_threads";

/** To a thread. `task` is 0 for its setup. */
export interface ToWorker {
  task: number;
  input: unknown;
}
/** From a thread. */
export type FromWorker = { task: number; ok: true; output: unknown } | { task: number; ok: false; error: string; data?: unknown };

export interface WorkerPoolOptions {
  /** The compiled program of a thread. */
  program: URL;
  /** The first message to each thread; its answer to this comes first. */
  setup: unknown;
  threads: number;
  /** Of one task, from when its thread has nothing else to do. */
  budgetMs: number;
  /** Of a thread until it is ready. */
  setupBudgetMs: number;
}

/** More than these wait for nothing. */
const MAX_WAITING = 4_096;
const HEAP_MB = 512;
const STACK_MB = 4;
/** After a thread has broken so often in a row without an answer, the next one waits. */
const RESTART_PAUSE_MS = 1_000;

/** Why a task has no output. "refused": the engine itself says so. */
export class WorkerError extends Error {
  override readonly name = "WorkerError";
  constructor(
    readonly reason: "refused" | "budget" | "crash" | "overload" | "closed",
    message: string,
    /** The engine's addition to a refusal. */
    readonly data?: unknown,
  ) {
    super(message);
  }
}

interface Task {
  id: number;
  input: unknown;
  resolve(output: unknown): void;
  reject(error: WorkerError): void;
}

/** One thread after another; at most one lives. */
class Lane {
  private worker: Worker | undefined;
  private ready = false;
  /** The thread's present task. */
  private current: Task | undefined;
  private timer: NodeJS.Timeout | undefined;
  private breaks = 0;

  constructor(
    private readonly options: WorkerPoolOptions,
    private readonly queue: Task[],
    private readonly onSetup: (result: FromWorker) => void,
    private readonly onIdle: () => void,
  ) {}

  get idle(): boolean {
    return this.current === undefined;
  }

  start(): void {
    const { program, setup, setupBudgetMs } = this.options;
    this.ready = false;
    const worker = new Worker(program, { resourceLimits: { maxOldGenerationSizeMb: HEAP_MB, stackSizeMb: STACK_MB }, stdin: false });
    this.worker = worker;
    worker.unref();
    worker.on("message", (message: FromWorker) => this.worker === worker && this.receive(message));
    worker.on("error", (error) => this.worker === worker && this.broke("crash", `its engine crashed: ${error.message}`));
    worker.on("exit", () => this.worker === worker && this.broke("crash", "its engine's thread ended"));
    worker.postMessage({ task: 0, input: setup } satisfies ToWorker);
    this.limit(setupBudgetMs, "its engine took too long to start");
  }

  private limit(ms: number, problem: string): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.broke("budget", problem), ms);
    // A question that is waited for keeps the process, a thread that is being made does not.
    if (this.current === undefined) this.timer.unref();
  }

  private receive(message: FromWorker): void {
    clearTimeout(this.timer);
    if (message.task === 0) {
      this.ready = message.ok;
      this.onSetup(message);
      if (message.ok) this.next();
      // The fault may pass, since the same setup was fit before. If it was not, `open` ends the lane.
      else this.broke("crash", message.error);
      return;
    }
    const { current } = this;
    this.current = undefined;
    if (current?.id === message.task) {
      this.breaks = 0;
      if (message.ok) current.resolve(message.output);
      else current.reject(new WorkerError("refused", message.error, message.data));
    }
    this.next();
  }

  private broke(reason: "budget" | "crash", problem: string): void {
    clearTimeout(this.timer);
    const { worker, current } = this;
    const wasReady = this.ready;
    this.worker = undefined;
    this.current = undefined;
    this.ready = false;
    void worker?.terminate();
    current?.reject(new WorkerError(reason, problem));
    if (!wasReady) {
      // Nobody knows when it will be: waiting tasks fail at once.
      for (const waiting of this.queue.splice(0)) waiting.reject(new WorkerError("crash", problem));
      this.onSetup({ task: 0, ok: false, error: problem });
    }
    const pause = ++this.breaks > 3 || !wasReady ? RESTART_PAUSE_MS : 0;
    this.timer = setTimeout(() => this.start(), pause).unref();
    if (current !== undefined) this.onIdle();
  }

  /** Takes the oldest waiting task, if it can. */
  next(): void {
    if (!this.ready || this.current !== undefined) return;
    const task = this.queue.shift();
    if (task === undefined) {
      this.onIdle();
      return;
    }
    this.current = task;
    this.worker?.postMessage({ task: task.id, input: task.input } satisfies ToWorker);
    this.limit(this.options.budgetMs, `its evaluation took more than ${this.options.budgetMs} ms`);
  }

  end(): void {
    clearTimeout(this.timer);
    const { worker } = this;
    this.worker = undefined;
    this.ready = false;
    void worker?.terminate();
  }
}

export class WorkerPool {
  private readonly queue: Task[] = [];
  private readonly lanes: Lane[];
  private lastId = 0;
  private closing: (() => void) | undefined;

  private constructor(options: WorkerPoolOptions, onSetup: (result: FromWorker) => void) {
    const idle = (): void => this.closeWhenIdle();
    this.lanes = Array.from({ length: options.threads }, () => new Lane(options, this.queue, onSetup, idle));
  }

  /** Resolves with the output of the setup in the first thread. Rejects with `WorkerError`, and holds no thread then. */
  static async open(options: WorkerPoolOptions): Promise<{ pool: WorkerPool; output: unknown }> {
    let resolveFirst: (result: FromWorker) => void = () => undefined;
    const first = new Promise<FromWorker>((resolve) => {
      resolveFirst = resolve;
    });
    const pool = new WorkerPool(options, (result) => resolveFirst(result));
    const [lane, ...others] = pool.lanes;
    lane?.start();
    // The thread is nobody's reason to stay, but whoever opens a policy waits for it.
    const stay = setInterval(() => undefined, 60_000);
    const result = await first;
    clearInterval(stay);
    if (!result.ok) {
      for (const each of pool.lanes) each.end();
      throw new WorkerError("refused", result.error, result.data);
    }
    for (const other of others) other.start();
    return { pool, output: result.output };
  }

  /** Rejects with `WorkerError`. */
  run(input: unknown): Promise<unknown> {
    if (this.closing !== undefined) return Promise.reject(new WorkerError("closed", "its engine is closed"));
    if (this.queue.length >= MAX_WAITING) return Promise.reject(new WorkerError("overload", "too many questions wait for its engine"));
    return new Promise((resolve, reject) => {
      this.queue.push({ id: ++this.lastId, input, resolve, reject });
      for (const lane of this.lanes) if (lane.idle && this.queue.length > 0) lane.next();
    });
  }

  private closeWhenIdle(): void {
    if (this.closing === undefined || this.queue.length > 0 || !this.lanes.every(({ idle }) => idle)) return;
    for (const lane of this.lanes) lane.end();
    this.closing();
  }

  /** Every task has its answer, or is out of its budget. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.closing = resolve;
      this.closeWhenIdle();
    });
  }
}
