/**
 * The keeper's end of the link to the server of one mount. It treats every record as hostile: it checks the length and the descriptors, and
 * answers an unknown record with EINVAL or drops it.
 */
import {
  ServerRecord,
  HEADER_BYTES,
  type KeeperInfo,
  MAX_INIT_BYTES,
  LinkRecord,
  STORED_PER_RECORD,
  KeeperRecord,
} from "@sluice/keeper-link";
import { Errno } from "@sluice/vfs";
import { discard } from "./discard.js";
import type { MountResources } from "./mount-resources.js";
import { discardFds, RecordChannel } from "./record-channel.js";

export interface ServerEvents {
  loaded(): void;
  ready(): void;
  handOver(): void;
  /** The server closed its end. */
  lost(): void;
  /** It does not read its answers, or sends descriptors that cannot be closed. */
  stuck(): void;
}

const NAME_MAX = 255;

/** The number of descriptors of each kind of request, and the limit of its payload. */
const SHAPES: ReadonlyMap<number, { fds: number; payload: number }> = new Map([
  [ServerRecord.mount, { fds: 0, payload: 0 }],
  [ServerRecord.register, { fds: 1, payload: 0 }],
  [ServerRecord.closeBacking, { fds: 0, payload: 0 }],
  [ServerRecord.store, { fds: 1, payload: 0 }],
  [ServerRecord.drop, { fds: 0, payload: 0 }],
  [ServerRecord.storeInit, { fds: 0, payload: MAX_INIT_BYTES }],
  [ServerRecord.ready, { fds: 0, payload: 0 }],
  [ServerRecord.unmount, { fds: 0, payload: 0 }],
  [ServerRecord.abort, { fds: 0, payload: 0 }],
  [ServerRecord.handOver, { fds: 0, payload: 0 }],
  [ServerRecord.loaded, { fds: 0, payload: 0 }],
  [ServerRecord.letGo, { fds: 0, payload: 0 }],
  [ServerRecord.openOwn, { fds: 1, payload: NAME_MAX }],
]);

export class ServerLink {
  readonly #channel: RecordChannel;
  readonly #resources: MountResources;
  readonly #events: ServerEvents;
  /** An ungreeted server has nothing to ask for; at most it reports that it waits. */
  #greeted = false;

  constructor(socket: number, resources: MountResources, events: ServerEvents) {
    this.#resources = resources;
    this.#events = events;
    this.#channel = new RecordChannel(socket, {
      take: (record) => this.#handle(record),
      lost: () => events.lost(),
      stuck: () => events.stuck(),
    });
  }

  /** Sends everything that a server begins with. */
  greet(info: KeeperInfo): void {
    this.#greeted = true;
    const { fuseFd, journalFd, layers, init } = this.#resources;
    this.#tell((out) => out.begin(KeeperRecord.fuse, 0, 0n, 0).addFd(fuseFd));
    this.#tell((out) => out.begin(KeeperRecord.journal, 0, 0n, 0).addFd(journalFd));
    this.#tellRoots(KeeperRecord.lowers, layers.lowers);
    this.#tellRoots(KeeperRecord.dataLowers, layers.dataLowers);
    const { upper, work, errorWitness } = layers;
    if (upper !== undefined && work !== undefined)
      this.#tell((out) => {
        out.begin(KeeperRecord.upper, 0, 0n, 0).addFd(upper.rootFd).addFd(work.rootFd);
        return errorWitness === undefined ? out : out.addFd(errorWitness);
      });
    if (init !== undefined) this.#tell((out) => out.begin(KeeperRecord.init, 0, 0n, 0).addPayload(init));
    const stored = [...this.#resources.stored];
    for (let at = 0; at < stored.length; at += STORED_PER_RECORD) this.#tellStored(stored.slice(at, at + STORED_PER_RECORD));
    const text = Buffer.from(JSON.stringify(info));
    const limit = BigInt(this.#resources.storeLimit);
    this.#tell((out) => out.begin(KeeperRecord.go, 0, limit, init === undefined ? 0 : 1).addPayload(text));
  }

  drain(): void {
    this.#tell((out) => out.begin(KeeperRecord.drain, 0, 0n, 0));
  }

  stop(): void {
    this.#tell((out) => out.begin(KeeperRecord.stop, 0, 0n, 0));
  }

  read(): Promise<void> {
    return this.#channel.read();
  }

  close(): void {
    this.#channel.close();
  }

  #tellRoots(kind: number, layers: readonly { rootFd: number }[]): void {
    for (let at = 0; at < layers.length; at += STORED_PER_RECORD) {
      this.#tell((out) => {
        out.begin(kind, 0, 0n, 0);
        for (const { rootFd } of layers.slice(at, at + STORED_PER_RECORD)) out.addFd(rootFd);
      });
    }
  }

  #tellStored(pairs: readonly (readonly [bigint, number])[]): void {
    this.#tell((out) => {
      out.begin(KeeperRecord.stored, 0, 0n, 0);
      for (const [key, fd] of pairs) out.addKey(key).addFd(fd);
    });
  }

  #tell(fill: (out: LinkRecord) => void): void {
    this.#channel.tell(fill);
  }

  #handle(request: LinkRecord): void {
    const shape = SHAPES.get(request.kind);
    const payload = request.length - HEADER_BYTES;
    const early = !this.#greeted && request.kind !== ServerRecord.loaded;
    if (early || shape === undefined || request.fdCount !== shape.fds || payload > shape.payload) {
      discardFds(request);
      this.#reply(request.sequence, -Errno.EINVAL);
      return;
    }
    this.#carryOut(request);
  }

  #carryOut(request: LinkRecord): void {
    const { sequence, value, key } = request;
    const fd = request.fds[0] as number;
    switch (request.kind) {
      case ServerRecord.mount:
        return this.#reply(sequence, this.#resources.mount());
      case ServerRecord.register: {
        const id = this.#resources.register(fd);
        discard(fd);
        return this.#reply(sequence, id);
      }
      case ServerRecord.closeBacking:
        return this.#resources.closeBacking(value);
      case ServerRecord.store:
        return void this.#resources.store(key, fd);
      case ServerRecord.drop:
        return this.#resources.drop(key);
      case ServerRecord.storeInit:
        this.#resources.init = Buffer.from(request.payload);
        return;
      case ServerRecord.ready:
        return this.#events.ready();
      case ServerRecord.unmount:
        return void this.#resources.unmount(value === 1).then((status) => this.#reply(sequence, status));
      case ServerRecord.abort:
        return this.#reply(sequence, this.#resources.abort());
      case ServerRecord.handOver:
        return this.#events.handOver();
      case ServerRecord.letGo:
        return void this.#resources.letGo().then((status) => this.#reply(sequence, status));
      case ServerRecord.loaded:
        return this.#events.loaded();
      case ServerRecord.openOwn:
        return this.#openOwn(request);
    }
  }

  #openOwn({ sequence, fds, payload }: LinkRecord): void {
    const fd = fds[0] as number;
    const opened = this.#resources.openOwn(fd, payload.toString("latin1"));
    discard(fd);
    if (opened < 0) return this.#reply(sequence, opened);
    this.#channel.tell(
      (out) => out.begin(KeeperRecord.answer, sequence, 0n, 0).addFd(opened),
      () => discard(opened),
    );
  }

  #reply(sequence: number, value: number): void {
    if (sequence !== 0) this.#tell((out) => out.begin(KeeperRecord.answer, sequence, 0n, value));
  }
}
