/**
 * The end of a service of many mounts of the link to its keeper. Each mount has a link of its own besides, which comes over this one:
 * `openSocketLink` takes it. A request for another mount waits in place, so that no mount begins between its check and its opening.
 */
import { fstatSync, readSync } from "node:fs";
import { memoryFileOf, native, type Poller, untilReadable } from "@sluice/native";
import { Errno, errnoName } from "@sluice/vfs";
import type { MountPlan } from "./mount-plan.js";
import { LayerError } from "./privileged/layer-error.js";
import { KeeperRecord, LinkRecord, ServerRecord } from "./records.js";

/** The keeper opens the layers meanwhile, which may lie on a slow file system. */
const ANSWER_TIMEOUT_MS = 10_000;
const LINK_FDS = 2;

/** The request to hold a mount. The keeper reads the plan alone. */
export interface HoldRequest {
  plan: MountPlan;
  /** For the next service. */
  config: string;
}

/** The reason why the keeper cannot hold a mount. */
export interface HoldRefusal {
  path: string;
  problem: string;
  remedy: string;
}

/** A mount that a former service served. */
export interface HeldMount extends HoldRequest {
  /** For `openSocketLink`. */
  socket: number;
}

export interface ServiceLinkEvents {
  /** A mount is to be served: after the start, or because this service has lost it. */
  held(mount: HeldMount): void;
  /** As of KeeperLink. */
  drain(): void;
  /** The keeper is gone. */
  lost(): void;
}

export interface ServiceLink {
  /** A former service has served. */
  readonly restored: boolean;
  /**
   * Has the keeper open the layers and hold the mount. @returns the socket for `openSocketLink`
   * @throws LayerError with the reason
   */
  hold(request: HoldRequest): number;
  ready(): void;
  handOver(): void;
  /** The next service should have so many decision processes loaded. */
  needDecisions(count: number): void;
}

/** Of a memory file; closes the descriptor. */
export function readMemoryFile(fd: number): string {
  const bytes = Buffer.alloc(fstatSync(fd).size);
  readSync(fd, bytes, 0, bytes.length, 0);
  native.close(fd);
  return bytes.toString("utf8");
}

class SocketServiceLink implements ServiceLink {
  readonly restored: boolean;
  readonly #socket: number;
  readonly #events: ServiceLinkEvents;
  readonly #record: LinkRecord;
  #poller: Poller | undefined;
  #sequence = 0;

  constructor({ socket, first }: Greeting, events: ServiceLinkEvents) {
    this.#socket = socket;
    this.#events = events;
    this.#record = first;
    for (; this.#record.kind !== KeeperRecord.go; this.#receive()) this.#told();
    this.restored = this.#record.value === 1;
    this.#poller = native.poll(socket, (status) => this.#readable(status < 0));
  }

  #receive(): void {
    const came = this.#record.receive(this.#socket, ANSWER_TIMEOUT_MS);
    if (came !== 1) throw new Error(`the keeper's link: errno ${-came}: the keeper is gone, or of another version`);
  }

  hold(request: HoldRequest): number {
    const fd = memoryFileOf("sluice-mount", JSON.stringify(request));
    const sequence = (this.#sequence = (this.#sequence % 0xffffffff) + 1);
    const sent = fd < 0 ? fd : this.#record.begin(ServerRecord.hold, sequence, 0n, 0).addFd(fd).send(this.#socket, ANSWER_TIMEOUT_MS);
    if (fd >= 0) native.close(fd);
    const { mountpoint } = request.plan;
    if (sent < 0) throw new LayerError(mountpoint, `the keeper cannot be asked (${errnoName(-sent)})`, "try again");
    return this.#answerTo(sequence, mountpoint);
  }

  #answerTo(sequence: number, mountpoint: string): number {
    for (;;) {
      const came = this.#record.receive(this.#socket, ANSWER_TIMEOUT_MS);
      if (came !== 1)
        throw new LayerError(mountpoint, `the keeper does not answer (${errnoName(came === 0 ? Errno.EPIPE : -came)})`, "try again");
      const { kind, value, fds } = this.#record;
      if (kind !== KeeperRecord.link || this.#record.sequence !== sequence) {
        this.#told();
        continue;
      }
      if (value === 0) return fds[0] as number;
      const { path, problem, remedy } = JSON.parse(readMemoryFile(fds[0] as number)) as HoldRefusal;
      throw new LayerError(path, problem, remedy);
    }
  }

  ready(): void {
    this.#record.begin(ServerRecord.ready, 0, 0n, 0).send(this.#socket, ANSWER_TIMEOUT_MS);
  }

  handOver(): void {
    this.#record.begin(ServerRecord.handOver, 0, 0n, 0).send(this.#socket, ANSWER_TIMEOUT_MS);
  }

  needDecisions(count: number): void {
    this.#record.begin(ServerRecord.decisions, 0, 0n, count).send(this.#socket, ANSWER_TIMEOUT_MS);
  }

  /** Handles a record that nobody waits for. The listeners run in a later turn. */
  #told(): void {
    const { kind, sequence, fds, fdCount } = this.#record;
    if (kind === KeeperRecord.link && sequence === 0 && fdCount === LINK_FDS) {
      const [socket, request] = fds as unknown as [number, number];
      const held: HeldMount = { ...(JSON.parse(readMemoryFile(request)) as HoldRequest), socket };
      setImmediate(() => this.#events.held(held));
      return;
    }
    // With the late answer to a request: its mount is not made.
    this.#record.closeFds();
    if (kind === KeeperRecord.drain) setImmediate(() => this.#events.drain());
  }

  #readable(failed: boolean): void {
    let came = 1;
    while (came === 1) {
      came = this.#record.receive(this.#socket, 0);
      if (came === 1) this.#told();
    }
    if (came === -Errno.EAGAIN && !failed) return;
    this.#poller?.close();
    this.#poller = undefined;
    this.#events.lost();
  }
}

/** The keeper has begun to greet. */
export interface Greeting {
  socket: number;
  /** The record that it began with. */
  first: LinkRecord;
}

/**
 * Waits for the turn of a service that was started with `socket` by its keeper. `prepare` is called with the number of decision processes
 * that it should have loaded by then. @throws if no keeper is at the other end
 */
export async function untilServiceGreeted(socket: number, prepare: (decisions: number) => void): Promise<Greeting> {
  const first = new LinkRecord(LINK_FDS);
  for (;;) {
    await untilReadable(socket);
    const came = first.receive(socket, 0);
    if (came === -Errno.EAGAIN) continue;
    if (came !== 1) throw new Error(`the keeper's link: errno ${-came}: the keeper is gone, or of another version`);
    if (first.kind !== KeeperRecord.prepare) return { socket, first };
    prepare(first.value);
  }
}

export function openServiceLink(greeting: Greeting, events: ServiceLinkEvents): ServiceLink {
  return new SocketServiceLink(greeting, events);
}
