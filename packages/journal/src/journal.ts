/**
 * State that outlives the process, in memory that another process holds. A write is a few stores: no system call, no
 * allocation. The journal knows no file system and no kernel: only their writers know the meaning of the records.
 */
import { randomFillSync } from "node:crypto";
import { Arena } from "./arena.js";
import { HandleRecords } from "./handle-records.js";
import { checkFormat, format, Header, isBlank, type JournalMemory } from "./layout.js";
import { LockRecords } from "./lock-records.js";
import { NameHash } from "./name-hash.js";
import { NodeRecords } from "./node-records.js";
import { RequestRecords } from "./request-records.js";
import { RerouteRecords } from "./reroute-records.js";

/** Ids are reserved in batches of this size: a server that takes over continues behind them. */
const RESERVE = 4096;
const HASH_WORDS = 256;

export class Journal {
  readonly nodes: NodeRecords;
  readonly handles: HandleRecords;
  readonly requests: RequestRecords;
  readonly locks: LockRecords;
  readonly reroutes: RerouteRecords;
  /** An earlier server wrote to it. */
  readonly takenOver: boolean;
  readonly #words: Uint32Array;
  readonly #arena: Arena;

  /**
   * `random`: the words for the hashes of names, if it makes the index.
   * @throws JournalError if this build cannot read the memory
   */
  constructor(memory: JournalMemory, random: () => Uint32Array = randomWords) {
    if (isBlank(memory)) format(memory);
    checkFormat(memory);
    const { words } = memory;
    this.#words = words;
    this.takenOver = this.starts > 0;
    const isIndexed = this.takenOver && words[Header.indexedBy] === this.starts && words[Header.busy] === 0;
    words[Header.busy] = 1;
    this.#arena = new Arena(memory);
    this.nodes = new NodeRecords(memory, this.#arena, isIndexed ? hashOf(words) : newHash(words, random()));
    this.handles = new HandleRecords(memory, this.#arena);
    this.requests = new RequestRecords(memory);
    this.locks = new LockRecords(memory);
    this.reroutes = new RerouteRecords(memory);
    for (const table of [this.handles, this.requests, this.locks, this.reroutes]) table.recover();
    if (!isIndexed) this.#makeIndex();
    words[Header.starts] = this.starts + 1;
    words[Header.indexedBy] = this.starts;
    words[Header.busy] = 0;
  }

  /** Servers that have begun with it. */
  get starts(): number {
    return this.#words[Header.starts] as number;
  }

  /** The number of bytes of the arena that were ever used. */
  get arenaBytes(): number {
    return this.#arena.mark * 16;
  }

  get lastListing(): number {
    return this.#words[Header.listing] as number;
  }
  set lastListing(number: number) {
    this.#words[Header.listing] = number;
  }

  /** The first node id that was never given away; records that ids up to the next such number may be given away. */
  reserveIds(from: number): number {
    return this.#reserve(Header.idLo, from);
  }

  reserveHandles(from: number): number {
    return this.#reserve(Header.handleLo, from);
  }

  /** A number above all that may have been given away. */
  get nextId(): number {
    return this.#get(Header.idLo);
  }
  get nextHandle(): number {
    return this.#get(Header.handleLo);
  }

  #reserve(at: number, from: number): number {
    const limit = Math.max(from + RESERVE, this.#get(at));
    this.#words[at + 1] = Math.floor(limit / 2 ** 32);
    this.#words[at] = limit >>> 0;
    return limit;
  }

  #get(at: number): number {
    return (this.#words[at + 1] as number) * 2 ** 32 + (this.#words[at] as number);
  }

  /** The process before was killed while it changed the index, or did not know it. */
  #makeIndex(): void {
    this.#arena.recover((used) => {
      this.nodes.walkChunks(used);
      this.handles.walkChunks(used);
    });
    this.nodes.recover();
  }
}

function randomWords(): Uint32Array {
  return randomFillSync(new Uint32Array(HASH_WORDS));
}

/** The hash that the process before used. */
function hashOf(words: Uint32Array): NameHash {
  return new NameHash(Uint32Array.from({ length: HASH_WORDS }, (_, at) => words[Header.hash + at] as number));
}

function newHash(words: Uint32Array, random: Uint32Array): NameHash {
  for (let at = 0; at < HASH_WORDS; at++) words[Header.hash + at] = random[at] as number;
  return new NameHash(random);
}
