/**
 * The call Mount of the contract in plain lines of JSON, on the same socket: a command that waits for its mount does not load gRPC for it. A line is a message of the contract as the generated code has it. The service tells the two by the first byte.
 */
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { native, toBytes } from "@sluice/native";
import { EXIT, failed } from "@sluice/runtime/cli";
import { errorOf, HostGone, HostSilent, HostUnreachable } from "./failure.js";
import type { Failure, MountRequest, MountResponse, MountSpec } from "./gen/sluice/host/v1/host.js";
import { strangerAt } from "./host-peer.js";
import type { MountFollower } from "./mount-follower.js";

/** Of the first line. gRPC begins with another one. */
export const PLAIN_FIRST_BYTE = 0x7b;
export const MAX_LINE_BYTES = 4 << 20;

export type PlainRequest = NonNullable<MountRequest["message"]>;
/** Without the end of the call, which is that of the connection. */
export type PlainResponse = NonNullable<MountResponse["message"]> | { $case: "refused"; value: string };

/** How long a mount that was taken over waits for its client: see Attach in the contract. */
const ATTACH_MS = 10_000;
const AGAIN_MS = 100;
const EAGAIN = 11;

/**
 * When a service is asked whether it still answers, and how long it may take to say so: a busy one takes a second or two. The first of several
 * processes waits ten seconds for another one that hangs, which may be the one that makes the mount.
 */
export interface Patience {
  quietMs: number;
  answerMs: number;
}

const PATIENCE: Patience = { quietMs: 10_000, answerMs: 9_000 };
/** No mount has this name, so a service refuses at once, whatever its mounts wait for. */
const PROBE: PlainRequest = { $case: "attach", value: { mountpoint: "" } };

/** Calls `take` for each line. @throws what `take` throws, or if a line is too long */
export function lineReader(take: (line: string) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
      const line = rest.toString("utf8", 0, end);
      rest = rest.subarray(end + 1);
      take(line);
    }
    if (rest.length > MAX_LINE_BYTES) throw new Error("a line is too long");
  };
}

/** The last that the service said before the end of a call: "serving" that the mount serves, "unanswered" nothing. */
type CallEnd = "ended" | "refused" | "serving" | "broken" | "unanswered";

function after(before: CallEnd, { $case }: PlainResponse): CallEnd {
  if ($case === "ended" || $case === "refused") return $case;
  return $case === "mounted" || before === "serving" ? "serving" : "broken";
}

/** A mount that has served failed while it ran, whatever the next process found. */
function failureIn({ $case }: PlainRequest, failure: Failure): Failure {
  return $case === "attach" ? { ...failure, exitCode: EXIT.FAILED, needsOwnProcess: false } : failure;
}

const lineOf = (request: PlainRequest): string => `${JSON.stringify(request)}\n`;

/** @throws CliError, and closes the connection, unless the service is one of root or this user */
function refuseStranger(fd: number, path: string): void {
  const problem = strangerAt(fd);
  if (problem === undefined) return;
  native.close(fd);
  throw failed(path, problem, "name the socket of a host service of root");
}

class PlainCalls {
  /** Of the mount, if another process can take it over. */
  mountpoint: string | undefined;
  #stops = 0;
  #isGivenUp = false;
  #socket: Socket | undefined;

  constructor(
    private readonly path: string,
    private readonly follower: MountFollower,
  ) {}

  /** A call that begins later gets it, too. The second one waits no longer for the service: the mount ends with the connection. */
  stop(): void {
    if (this.#stops++ === 0) this.#send({ $case: "stop", value: {} });
    else this.giveUp();
  }

  /** Nobody follows the mount any more, if the service makes it. */
  giveUp(): void {
    this.mountpoint = undefined;
    this.#isGivenUp = true;
    this.#socket?.destroy();
  }

  #send(request: PlainRequest): void {
    this.#socket?.write(lineOf(request));
  }

  /** Resolves at the end of the call. @throws CliError or NeedsOwnProcess as the mount */
  async run(first: PlainRequest): Promise<CallEnd> {
    const fd = await this.#connect();
    if (fd >= 0) refuseStranger(fd, this.path);
    const line = Buffer.from(lineOf(first));
    const sent = fd < 0 ? 0 : Math.max(0, native.write(fd, line, 0, line.length));
    this.follower.asked?.();
    if (fd < 0) return "unanswered";
    // Node takes some milliseconds to load it: the service works meanwhile.
    const { Socket } = await import("node:net");
    const socket = new Socket({ fd, readable: true, writable: true });
    this.#socket = socket;
    const end = this.#follow(socket, first);
    if (sent < line.length) socket.write(line.subarray(sent));
    if (this.#stops > 0) this.#send({ $case: "stop", value: {} });
    if (this.#isGivenUp) socket.destroy();
    return end;
  }

  /** A service that is busy, or hangs, may have no room for another connection for a while. */
  async #connect(): Promise<number> {
    for (;;) {
      const fd = native.unixConnect(toBytes(this.path));
      if (fd !== -EAGAIN || this.#isGivenUp) return fd;
      await sleep(AGAIN_MS);
    }
  }

  #follow(socket: Socket, first: PlainRequest): Promise<CallEnd> {
    return new Promise((resolve, reject) => {
      let end: CallEnd = "unanswered";
      const read = lineReader((line) => {
        const response = JSON.parse(line) as PlainResponse;
        end = after(end, response);
        if (response.$case === "ended" && response.value.failure !== undefined) reject(errorOf(failureIn(first, response.value.failure)));
        this.#take(response);
      });
      socket.on("data", (chunk: Buffer) => {
        try {
          read(chunk);
        } catch {
          // Something else answers.
          socket.destroy();
        }
      });
      socket.once("error", () => socket.destroy());
      socket.once("close", () => {
        this.#socket = undefined;
        resolve(end);
      });
    });
  }

  #take(response: PlainResponse): void {
    if (response.$case === "mounted") {
      this.mountpoint = response.value.mountpoint === "" ? undefined : response.value.mountpoint;
      if (response.value.line !== "") this.follower.announce(response.value.line);
    }
    if (response.$case === "notice") this.follower.tell(response.value);
  }
}

/** Follows a mount whose service died or was replaced, from process to process. False if no other one has it. */
async function followOn(calls: PlainCalls): Promise<boolean> {
  const { mountpoint } = calls;
  if (mountpoint === undefined) return false;
  for (let untilMs = Date.now() + ATTACH_MS; Date.now() < untilMs; await sleep(AGAIN_MS)) {
    const end = await calls.run({ $case: "attach", value: { mountpoint } });
    if (end === "ended") return true;
    if (end === "refused") return false;
    // It has broken again.
    if (end !== "unanswered") untilMs = Date.now() + ATTACH_MS;
  }
  return false;
}

const NOBODY: MountFollower = { announce: () => undefined, tell: () => undefined, onStop: () => () => undefined };

/** Calls `onSilence` if the service at `path` does not answer any more. @returns a function that ends that */
function watchSilence(path: string, { quietMs, answerMs }: Patience, onSilence: () => void): () => void {
  let probe: PlainCalls | undefined;
  let timer = setTimeout(ask, quietMs);
  function ask(): void {
    const calls = new PlainCalls(path, NOBODY);
    probe = calls;
    timer = setTimeout(onSilence, answerMs);
    const again = (): void => {
      if (probe !== calls) return;
      clearTimeout(timer);
      timer = setTimeout(ask, quietMs);
    };
    calls.run(PROBE).then(again, again);
  }
  return () => {
    clearTimeout(timer);
    const last = probe;
    probe = undefined;
    last?.giveUp();
  };
}

function goneAt(socket: string, { mountpoint }: MountSpec): HostGone {
  const problem = `the host service at ${socket} ended the call`;
  return new HostGone({ object: mountpoint, problem, remedy: "see its log", exitCode: EXIT.FAILED });
}

/**
 * Resolves when an attached mount has ended, and for another one as soon as it serves. `socket` is an absolute path.
 * @throws CliError or NeedsOwnProcess as the mount, HostSilent if the service hangs before the mount serves, and HostUnreachable if nobody
 * answers there, or only in gRPC
 */
export async function mountPlainly(socket: string, spec: MountSpec, follower: MountFollower, patience = PATIENCE): Promise<void> {
  let isSilent = false;
  const unwatch = watchSilence(socket, patience, () => {
    isSilent = true;
    calls.giveUp();
  });
  const announce = (line: string): void => {
    unwatch();
    follower.announce(line);
  };
  const calls = new PlainCalls(socket, { ...follower, announce });
  const unlisten = follower.onStop(() => calls.stop());
  const giveUp = (): void => calls.giveUp();
  follower.signal?.addEventListener("abort", giveUp);
  try {
    const end = await calls.run({ $case: "begin", value: spec });
    if (isSilent) throw new HostSilent(patience.quietMs + patience.answerMs);
    if (end === "unanswered") throw new HostUnreachable("no service answers there");
    if (end === "ended" || (end === "serving" && !spec.attached)) return;
    if (!spec.attached || !(await followOn(calls))) throw goneAt(socket, spec);
  } finally {
    unwatch();
    follower.signal?.removeEventListener("abort", giveUp);
    unlisten();
  }
}
