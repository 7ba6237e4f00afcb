/**
 * The other processes of a service, as the first one sees them. It alone takes the clients. A mount goes to the process with the fewest: its
 * client's connection is passed on, so the mount depends on no other process from then on.
 */
import { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { lineReader } from "@sluice/host-api/plain";
import type { wire } from "@sluice/host-api";
import { native } from "@sluice/native";
import { passConnection } from "./passed-connections.js";

/** A question of the first process to another one, as the first line of a connection between them. */
export type Question = { $case: "list" } | { $case: "end"; value: wire.EndMountRequest };

/** Undefined if a connection begins with something else. Such a question comes in one record. */
export function questionIn(read: Buffer): Question | undefined {
  try {
    const request = JSON.parse(read.toString("utf8")) as Question;
    return request.$case === "list" || request.$case === "end" ? request : undefined;
  } catch {
    return undefined;
  }
}

/** An answer is one line of JSON. A time is in milliseconds. */
export interface ListAnswer {
  mounts: (Omit<wire.HostedMount, "since"> & { sinceMs: number })[];
  /** With those that are not listed yet. */
  count: number;
}
/** Null: it has no such mount. */
export type EndAnswer = wire.EndMountResponse | null;

/** A process that takes over answers within a second or two, on a busy machine later. */
const ANSWER_LIMIT_MS = 10_000;
/** A new mount waits no longer for the count of a process. */
const COUNT_LIMIT_MS = 5_000;

/** Another process does not answer. */
export class ProcessSilent extends Error {}

class OtherProcess {
  /** As far as this process knows. */
  mounts = 0;
  #given = 0;
  #counting: Promise<void> | undefined;

  constructor(
    private readonly over: number,
    private readonly number: number,
  ) {}

  /** It is about to make another mount. -1: it is not. */
  gives(count: 1 | -1): void {
    this.mounts += count;
    this.#given += count;
  }

  /** @returns false if it has ended for good, or its socket is full */
  pass(fd: number, read: Uint8Array): boolean {
    return passConnection(this.over, fd, read);
  }

  /** Corrects the number of its mounts. One that does not answer in time gets none until it does. */
  async count(): Promise<void> {
    // It did not answer in time before.
    if (this.#counting !== undefined) return;
    const given = this.#given;
    const late = new AbortController();
    const answered = this.list().then(
      ({ count }) => (this.mounts = count + this.#given - given),
      () => (this.mounts = Number.POSITIVE_INFINITY),
    );
    this.#counting = answered.then(() => {
      this.#counting = undefined;
      late.abort();
    });
    await sleep(COUNT_LIMIT_MS, undefined, { signal: late.signal, ref: false }).then(
      () => (this.mounts = Number.POSITIVE_INFINITY),
      () => undefined,
    );
  }

  list(): Promise<ListAnswer> {
    return this.#ask({ $case: "list" }, ANSWER_LIMIT_MS) as Promise<ListAnswer>;
  }

  end(value: wire.EndMountRequest): Promise<EndAnswer> {
    return this.#ask({ $case: "end", value }, undefined) as Promise<EndAnswer>;
  }

  /** @returns this end of a new connection whose first line is `line`; undefined if the other process cannot have it */
  connect(line: string): Socket | undefined {
    const pair = new Int32Array(2);
    if (native.streamPair(pair) < 0) return undefined;
    const [ours, theirs] = pair as unknown as [number, number];
    const passed = passConnection(this.over, theirs, Buffer.from(line));
    native.close(theirs);
    if (passed) return new Socket({ fd: ours, readable: true, writable: true });
    native.close(ours);
    return undefined;
  }

  /** @throws ProcessSilent */
  #ask(question: Question, limitMs: number | undefined): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const silent = (): void => reject(new ProcessSilent(`process ${this.number} of the host service does not answer: try again`));
      const socket = this.connect(`${JSON.stringify(question)}\n`);
      if (socket === undefined) return silent();
      const limit = limitMs === undefined ? undefined : setTimeout(() => socket.destroy(), limitMs);
      const read = lineReader((line) => {
        resolve(JSON.parse(line));
        socket.destroy();
      });
      socket.on("data", read);
      socket.once("error", () => socket.destroy());
      socket.once("close", () => {
        clearTimeout(limit);
        silent();
      });
    });
  }
}

/** Of a client: both are asked when it is passed on, after a wait. */
export interface Connection {
  fd(): number;
  /** All bytes that this process has read of it. */
  read(): Uint8Array;
}

/** The mounts of this process. */
export interface OwnMounts {
  count(): number;
  /** It is about to make another one. */
  coming(): void;
}

export class OtherProcesses {
  readonly #all: readonly OtherProcess[];
  #counting: Promise<unknown> | undefined;

  /** `passFds`: a socket to each of them, for passConnection. */
  constructor(passFds: readonly number[]) {
    this.#all = passFds.map((fd, at) => new OtherProcess(fd, at + 2));
  }

  /** Some mounts may have ended since the last count. Requests of one moment share it. */
  #count(): Promise<unknown> {
    this.#counting ??= Promise.all(this.#all.map((other) => other.count())).then(() => (this.#counting = undefined));
    return this.#counting;
  }

  /** The one with the fewest mounts, which counts another one from now on; undefined if this process has no more than that. */
  async #next(own: OwnMounts): Promise<OtherProcess | undefined> {
    await this.#count();
    // Requests of one moment choose one after another, each in one go.
    const least = this.#all.reduce((a, b) => (b.mounts < a.mounts ? b : a));
    if (least.mounts >= own.count()) {
      own.coming();
      return undefined;
    }
    least.gives(1);
    return least;
  }

  /** Passes on a connection that asks for a mount, if another process has fewer than this one. @returns whether it did */
  async passNext(own: OwnMounts, connection: Connection): Promise<boolean> {
    const other = await this.#next(own);
    if (other === undefined || other.pass(connection.fd(), connection.read())) return other !== undefined;
    other.gives(-1);
    return false;
  }

  /** A connection to the process that is to make the next mount, which `line` asks for; undefined if that is this one. */
  async connectNext(own: OwnMounts, line: string): Promise<Socket | undefined> {
    const other = await this.#next(own);
    const socket = other?.connect(line);
    if (socket === undefined) other?.gives(-1);
    return socket;
  }

  /** Passes a connection on to the process with this mount. @returns false if none has it */
  async passToHolder(mountpoint: string, connection: Connection): Promise<boolean> {
    for (const other of this.#all) {
      const answer = await other.list().catch(() => undefined);
      if (answer?.mounts.some((mount) => mount.mountpoint === mountpoint) === true) return other.pass(connection.fd(), connection.read());
    }
    return false;
  }

  /** @throws ProcessSilent: a list without its mounts would say that they have ended */
  async list(): Promise<wire.HostedMount[]> {
    const answers = await Promise.all(this.#all.map((other) => other.list()));
    return answers.flatMap(({ mounts }) => mounts).map(({ sinceMs, ...mount }) => ({ ...mount, since: new Date(sinceMs) }));
  }

  /** @returns undefined if none has such a mount. @throws ProcessSilent */
  async end(request: wire.EndMountRequest): Promise<wire.EndMountResponse | undefined> {
    const answers = await Promise.all(this.#all.map((other) => other.end(request)));
    return answers.find((answer) => answer !== null) ?? undefined;
  }
}
