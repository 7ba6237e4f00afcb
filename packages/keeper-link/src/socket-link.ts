/**
 * The server's end of the link to its keeper. Requests of an open wait for the answer in place, for a bounded time: the keeper does nothing
 * that takes long. The keeper's end trusts nothing that comes from here.
 */
import { native, type Poller } from "@sluice/native";
import { type BackingRegistrar, Errno, FsError, type KernelConnection, type Negotiated, type OwnerAccess } from "@sluice/vfs";
import { mountRemedy } from "./privileged/mount-device.js";
import { closeLayers } from "./privileged/open-layers.js";
import type { KeeperInfo, KeeperLink, OpenLayers } from "./keeper-link.js";
import type { MountPlan } from "./mount-plan.js";
import { ServerRecord, MAX_INIT_BYTES, LinkRecord, STORED_PER_RECORD, KeeperRecord } from "./records.js";

/** The keeper may be starved of CPU time, but it never waits for anybody. */
const ANSWER_TIMEOUT_MS = 10_000;

interface Given {
  fuseFd: number;
  journalFd: number;
  lowers: number[];
  dataLowers: number[];
  upper: number[];
  init: Buffer | undefined;
  stored: Map<bigint, number>;
  storeLimit: number;
  restored: boolean;
  info: KeeperInfo;
}

function broken(what: string): Error {
  return new Error(`the keeper's link: ${what}: this is a defect, or the keeper is of another version`);
}

const fdsOf = (record: LinkRecord): number[] => [...record.fds.subarray(0, record.fdCount)];

/** Takes one record in. @returns true if it was the last */
function take(record: LinkRecord, given: Partial<Given> & Pick<Given, "lowers" | "dataLowers" | "stored">): boolean {
  const fds = fdsOf(record);
  switch (record.kind) {
    case KeeperRecord.fuse:
      given.fuseFd = fds[0] as number;
      return false;
    case KeeperRecord.journal:
      given.journalFd = fds[0] as number;
      return false;
    case KeeperRecord.lowers:
      given.lowers.push(...fds);
      return false;
    case KeeperRecord.dataLowers:
      given.dataLowers.push(...fds);
      return false;
    case KeeperRecord.upper:
      given.upper = fds;
      return false;
    case KeeperRecord.init:
      given.init = Buffer.from(record.payload);
      return false;
    case KeeperRecord.stored:
      for (const [at, fd] of fds.entries()) given.stored.set(record.keyAt(at), fd);
      return false;
    case KeeperRecord.go:
      given.storeLimit = Number(record.key);
      given.restored = record.value === 1;
      given.info = JSON.parse(record.payload.toString()) as KeeperInfo;
      return true;
    default:
      throw broken(`a record of kind ${record.kind}`);
  }
}

function receiveAll(socket: number): Given {
  const record = new LinkRecord(STORED_PER_RECORD);
  const given: Partial<Given> & Pick<Given, "lowers" | "dataLowers" | "stored"> = { lowers: [], dataLowers: [], stored: new Map() };
  for (let last = false; !last; ) {
    const status = record.receive(socket, ANSWER_TIMEOUT_MS);
    if (status !== 1) throw broken(status === 0 ? "the keeper is gone" : `errno ${-status}`);
    last = take(record, given);
  }
  return given as Given;
}

function layersOf(given: Given, plan: MountPlan): OpenLayers {
  const named = (paths: readonly string[], fds: readonly number[]): OpenLayers["lowers"] =>
    paths.map((path, at) => ({ path, rootFd: fds[at] as number }));
  const [upper, work, errorWitness] = given.upper ?? [];
  return {
    lowers: named(plan.lowers, given.lowers),
    dataLowers: named(plan.dataLowers, given.dataLowers),
    upper: plan.upper === undefined || upper === undefined ? undefined : { path: plan.upper, rootFd: upper },
    work: plan.work === undefined || work === undefined ? undefined : { path: plan.work, rootFd: work },
    errorWitness,
  };
}

export interface SocketLinkOptions {
  plan: MountPlan;
  /** The keeper registers backing files, since this process has no CAP_SYS_ADMIN, or should not use it. */
  registerByKeeper: boolean;
  /** The keeper is gone. The kernel is about to kill this process. */
  onLost(): void;
}

class SocketLink implements KeeperLink {
  readonly keeper: KeeperInfo;
  readonly restored: boolean;
  readonly layers: OpenLayers;
  readonly journalFd: number;
  readonly stored: ReadonlyMap<bigint, number>;
  readonly ownerAccess: OwnerAccess = {
    search: (dirFd, name) => this.#openOwn(dirFd, name),
    read: (fd) => this.#openOwn(fd, ""),
  };
  readonly #socket: number;
  readonly #options: SocketLinkOptions;
  readonly #given: Given;
  readonly #request = new LinkRecord(1);
  readonly #reply = new LinkRecord(1);
  readonly #waiting = new Map<number, (value: number) => void>();
  readonly #held: Set<bigint>;
  #poller: Poller | undefined;
  #sequence = 0;
  #drain: (() => void) | undefined;
  #stop: (() => void) | undefined;
  #lost = false;

  constructor(socket: number, options: SocketLinkOptions) {
    const given = receiveAll(socket);
    this.#socket = socket;
    this.#options = options;
    this.#given = given;
    this.keeper = given.info;
    this.restored = given.restored;
    this.layers = layersOf(given, options.plan);
    this.journalFd = given.journalFd;
    this.stored = given.stored;
    this.#held = new Set(given.stored.keys());
    this.#poller = native.poll(socket, (status) => this.#readable(status < 0));
  }

  connect(): KernelConnection {
    const { restored } = this;
    const status = restored ? 0 : this.#exchange(ServerRecord.mount, 0, undefined);
    if (status < 0) throw new FsError(-status, `cannot mount on ${this.#options.plan.mountpoint}: ${mountRemedy(-status)}`);
    const { init, fuseFd } = this.#given;
    return {
      fuseFd,
      negotiated: restored && init !== undefined ? (JSON.parse(init.toString()) as Negotiated) : undefined,
      registrar: this.#options.registerByKeeper ? this.#registrar() : undefined,
      unmount: async (lazy) => -(await this.#ask(ServerRecord.unmount, lazy ? 1 : 0)),
      abort: () => this.#exchange(ServerRecord.abort, 0, undefined) === 0,
      // If a server served before, another one may succeed.
      giveUp: () => void (restored ? 0 : this.#exchange(ServerRecord.abort, 0, undefined)),
    };
  }

  #registrar(): BackingRegistrar {
    return {
      openBacking: (fd) => this.#exchange(ServerRecord.register, 0, fd),
      closeBacking: (id) => this.#post(this.#request.begin(ServerRecord.closeBacking, 0, 0n, id)),
    };
  }

  store(key: bigint, fd: number): number {
    if (!this.#held.has(key) && this.#held.size >= this.#given.storeLimit) return -Errno.ENFILE;
    const status = this.#post(this.#request.begin(ServerRecord.store, 0, key, 0).addFd(fd));
    if (status === 0) this.#held.add(key);
    return status;
  }

  drop(key: bigint): void {
    if (this.#held.delete(key)) this.#post(this.#request.begin(ServerRecord.drop, 0, key, 0));
  }

  storeInit(negotiated: Uint8Array): void {
    if (negotiated.length > MAX_INIT_BYTES)
      throw new RangeError(`the result of INIT has ${negotiated.length} bytes, more than the limit of ${MAX_INIT_BYTES}`);
    this.#post(this.#request.begin(ServerRecord.storeInit, 0, 0n, 0).addPayload(negotiated));
  }

  ready(): void {
    this.#post(this.#request.begin(ServerRecord.ready, 0, 0n, 0));
  }

  onDrain(drain: () => void): void {
    this.#drain = drain;
  }

  handOver(): void {
    this.#post(this.#request.begin(ServerRecord.handOver, 0, 0n, 0));
  }

  /** A keeper that does not know this request holds the layers until it ends. */
  letGo(): void {
    this.#exchange(ServerRecord.letGo, 0, undefined);
  }

  onStop(stop: () => void): void {
    this.#stop = stop;
  }

  abandon(): void {
    const { fuseFd, journalFd } = this.#given;
    closeLayers(this.layers);
    for (const fd of [fuseFd, journalFd, ...this.stored.values()]) native.close(fd);
    this.close();
  }

  close(): void {
    if (this.#lost) return;
    this.#poller?.close();
    this.#poller = undefined;
    native.close(this.#socket);
    this.#lost = true;
  }

  #post(record: LinkRecord): number {
    return this.#lost ? -Errno.EPIPE : record.send(this.#socket, ANSWER_TIMEOUT_MS);
  }

  #begin(kind: number, value: number, fd: number | undefined, payload?: Uint8Array): { sequence: number; status: number } {
    const sequence = (this.#sequence = (this.#sequence % 0xffffffff) + 1);
    const record = this.#request.begin(kind, sequence, 0n, value);
    if (fd !== undefined) record.addFd(fd);
    if (payload !== undefined) record.addPayload(payload);
    return { sequence, status: this.#post(record) };
  }

  /** Sends a request and waits for the answer in place. */
  #exchange(kind: number, value: number, fd: number | undefined): number {
    const { sequence, status } = this.#begin(kind, value, fd);
    return status < 0 ? status : this.#answerTo(sequence);
  }

  /** The descriptors of the answer are in `#reply`. */
  #answerTo(sequence: number): number {
    for (;;) {
      const came = this.#reply.receive(this.#socket, ANSWER_TIMEOUT_MS);
      if (came !== 1) return came === 0 ? -Errno.EPIPE : came;
      if (this.#reply.kind === KeeperRecord.answer && this.#reply.sequence === sequence) return this.#reply.value;
      this.#told();
    }
  }

  #openOwn(fd: number, name: string): number {
    const { sequence, status } = this.#begin(ServerRecord.openOwn, 0, fd, Buffer.from(name, "latin1"));
    const answer = status < 0 ? status : this.#answerTo(sequence);
    return answer < 0 ? answer : (fdsOf(this.#reply)[0] ?? -Errno.EIO);
  }

  #ask(kind: number, value: number): Promise<number> {
    const { sequence, status } = this.#begin(kind, value, undefined);
    if (status < 0) return Promise.resolve(status);
    return new Promise((resolve) => this.#waiting.set(sequence, resolve));
  }

  /** Handles records that nobody waits for in place. Their listeners run in a later turn. */
  #told(): void {
    this.#reply.closeFds();
    const { kind, sequence, value } = this.#reply;
    if (kind === KeeperRecord.drain) setImmediate(() => this.#drain?.());
    if (kind === KeeperRecord.stop) setImmediate(() => this.#stop?.());
    if (kind !== KeeperRecord.answer) return;
    this.#waiting.get(sequence)?.(value);
    this.#waiting.delete(sequence);
  }

  #readable(failed: boolean): void {
    let came = 1;
    while (!this.#lost && came === 1) {
      came = this.#reply.receive(this.#socket, 0);
      if (came === 1) this.#told();
    }
    if (this.#lost || (came === -Errno.EAGAIN && !failed)) return;
    this.close();
    for (const resolve of this.#waiting.values()) resolve(-Errno.EPIPE);
    this.#options.onLost();
  }
}

/** Reports that this process waits for its turn. In an upgrade the old server serves until then. `prepares`: it may get `prepare`. */
export function tellLoaded(socket: number, prepares = false): void {
  new LinkRecord(0).begin(ServerRecord.loaded, 0, 0n, prepares ? 1 : 0).send(socket, ANSWER_TIMEOUT_MS);
}

/** Takes over the mount from the keeper at `socket`, which this process was started with. @throws if no keeper is at the other end */
export function openSocketLink(socket: number, options: SocketLinkOptions): KeeperLink {
  return new SocketLink(socket, options);
}
