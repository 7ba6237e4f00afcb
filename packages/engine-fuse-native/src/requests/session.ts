/** One callback from beginning to answer. It never throws, and it answers exactly once: a thread of libfuse waits for it. */
import { Errno, type EngineEvents, type Filesystem, FsError } from "@sluice/vfs";
import { type Addon, emptyTable, OPERATIONS, type OperationName, type RawHandler, type Signal } from "../addon/addon.js";
import { dispatchTable } from "../handlers/dispatch-table.js";
import { OpenHandles } from "./open-handles.js";
import type { Operation, Server } from "../handlers/operation.js";
import { PathWalk } from "../paths/path-walk.js";
import { Request } from "./request.js";

/** Errnos that the kernel accepts in a reply. */
const ERRNO_LIMIT = 512;

/** A callback's fixed parts. */
interface Row {
  readonly name: OperationName;
  readonly operation: Operation;
  readonly signal: Signal;
}

export class Session {
  readonly server: Server;
  readonly #events: EngineEvents;
  readonly #waiting = new Set<Request>();
  #onInit: () => void = () => undefined;

  constructor(filesystem: Filesystem, events: EngineEvents) {
    this.server = { filesystem, walk: new PathWalk(filesystem), handles: new OpenHandles() };
    this.#events = events;
  }

  get inFlight(): number {
    return this.#waiting.size;
  }

  /** Ends the waits of callers, as far as the filesystem listens. */
  interruptAll(): void {
    for (const request of this.#waiting) request.abort();
  }

  handlers(addon: Addon, onInit: () => void): RawHandler[] {
    this.#onInit = onInit;
    const table = emptyTable();
    for (const name of OPERATIONS) {
      const row: Row = { name, operation: dispatchTable[name], signal: addon.signal(name) };
      table[addon.opcode(name)] = (record, _opcode, ...args) => this.#serve(row, new Request(args, record));
    }
    return table;
  }

  #serve(row: Row, request: Request): void {
    const startedMs = performance.now();
    this.#waiting.add(request);
    const answer = (errno: number): void => this.#answer(row, request, { errno, startedMs });
    try {
      const status = row.operation.run(this.server, request);
      if (typeof status === "number") answer(status);
      else status.then(answer, (error: unknown) => answer(this.#errnoOf(row.name, error)));
    } catch (error) {
      answer(this.#errnoOf(row.name, error));
    }
  }

  #answer(row: Row, request: Request, done: { errno: number; startedMs: number }): void {
    this.#waiting.delete(request);
    const errno = this.#checked(row.name, done.errno);
    if (errno === 0) row.signal(request.record, request.count, ...request.extras);
    else row.signal(request.record, -errno, ...(row.operation.failed?.(request) ?? []));
    this.#events.request(row.name.toUpperCase(), errno, Math.round((performance.now() - done.startedMs) * 1000));
    if (row.name === "init") this.#onInit();
  }

  /** A status that the kernel would refuse is a bug: EIO. */
  #checked(name: OperationName, status: number): number {
    if (Number.isInteger(status) && status >= 0 && status < ERRNO_LIMIT) return status;
    this.#events.anomaly(`an answer is impossible: status ${status}`, { operation: name });
    return Errno.EIO;
  }

  #errnoOf(name: OperationName, error: unknown): number {
    if (error instanceof FsError) return error.errno;
    if (error instanceof Error && error.name === "AbortError") return Errno.EINTR;
    this.#events.anomaly("a filesystem method failed with an error that is no FsError; its caller gets EIO", { operation: name, error });
    return Errno.EIO;
  }
}
