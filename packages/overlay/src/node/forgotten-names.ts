/**
 * A table of names in flat arrays, since there is a record of each file that the kernel forgets and looks up again: as objects they
 * would live just long enough to be moved to the old generation and to be garbage there. Memory is taken as slots are first used.
 */
import { NameHash } from "@sluice/journal";
import type { ByteName, NodeId } from "@sluice/vfs";

/** A power of two, of slots and of the buckets they are found by, which are numbers of 16 bits. */
export const MAX_SLOTS = 65_536;
/** The oldest of so many in one bucket goes: no look may be a long one, whatever names users choose. */
export const LONGEST_CHAIN = 64;
const NONE = 0;

/** Which object it was, whatever its names. */
export interface ForgottenObject {
  readonly id: NodeId;
  readonly kind: number;
  readonly inoLo: number;
  readonly inoHi: number;
}

/** A name that it had. */
export interface ForgottenName {
  parentId: NodeId;
  name: ByteName;
}

/** Slots are numbered from 1; 0 is none. An id may have several, the place of a name has one. */
export class ForgottenNames {
  readonly #ids = new Float64Array(MAX_SLOTS + 1);
  readonly #parents = new Float64Array(MAX_SLOTS + 1);
  readonly #names: ByteName[] = [""];
  readonly #kinds = new Uint32Array(MAX_SLOTS + 1);
  readonly #inoLo = new Uint32Array(MAX_SLOTS + 1);
  readonly #inoHi = new Uint32Array(MAX_SLOTS + 1);
  /** Of the place. */
  readonly #buckets = new Uint16Array(MAX_SLOTS + 1);
  /** The next of the same bucket, the older one. A free slot's next free one. */
  readonly #nextOfPlace = new Int32Array(MAX_SLOTS + 1);
  readonly #nextOfId = new Int32Array(MAX_SLOTS + 1);
  readonly #older = new Int32Array(MAX_SLOTS + 1);
  readonly #newer = new Int32Array(MAX_SLOTS + 1);
  readonly #byPlace = new Int32Array(MAX_SLOTS);
  readonly #byId = new Int32Array(MAX_SLOTS);
  readonly #hash: NameHash;
  #newest = NONE;
  #oldest = NONE;
  #free = NONE;
  #used = 0;

  constructor(hash = new NameHash()) {
    this.#hash = hash;
  }

  /** The newest of all; `older` leads on to the others. */
  get newest(): number {
    return this.#newest;
  }

  older(slot: number): number {
    return this.#older[slot] as number;
  }

  id(slot: number): NodeId {
    return numberIn(this.#ids, slot);
  }

  parentId(slot: number): NodeId {
    return numberIn(this.#parents, slot);
  }

  name(slot: number): ByteName {
    return this.#names[slot] as ByteName;
  }

  object(slot: number): ForgottenObject {
    return { id: this.id(slot), kind: this.#kinds[slot] as number, inoLo: this.#inoLo[slot] as number, inoHi: this.#inoHi[slot] as number };
  }

  /** Whatever its id is now. */
  isOf(slot: number, object: ForgottenObject): boolean {
    return this.#kinds[slot] === object.kind && this.#inoLo[slot] === object.inoLo && this.#inoHi[slot] === object.inoHi;
  }

  /** The slot of a place, if any. */
  at(parentId: NodeId, name: ByteName): number {
    if (this.#newest === NONE) return NONE;
    let slot = this.#byPlace[this.#bucketOf(parentId, name)] as number;
    while (slot !== NONE && !this.#isAt(slot, parentId, name)) slot = this.#nextOfPlace[slot] as number;
    return slot;
  }

  /** The newest slot of an id, if any. */
  of(id: NodeId): number {
    return this.#sameId(this.#byId[bucketOfId(id)] as number, id);
  }

  /** The next older one of the same id. */
  further(slot: number): number {
    return this.#sameId(this.#nextOfId[slot] as number, this.#ids[slot] as number);
  }

  /**
   * Gives a place to an object: whatever was remembered there is something else there now, and goes with all its names. The oldest
   * slot is taken where all are in use.
   */
  add(object: ForgottenObject, parentId: NodeId, name: ByteName): void {
    const bucket = this.#bucketOf(parentId, name);
    const there = this.#makeRoom(bucket, parentId, name);
    // A name may be among an object's seen and unseen ones.
    if (there !== NONE && this.#ids[there] === object.id) return;
    if (there !== NONE) this.drop(this.#ids[there] as number);
    const slot = this.#take();
    this.#ids[slot] = object.id;
    this.#parents[slot] = parentId;
    this.#names[slot] = name;
    this.#kinds[slot] = object.kind;
    this.#inoLo[slot] = object.inoLo;
    this.#inoHi[slot] = object.inoHi;
    this.#buckets[slot] = bucket;
    this.#nextOfPlace[slot] = this.#byPlace[bucket] as number;
    this.#byPlace[bucket] = slot;
    const sameId = bucketOfId(object.id);
    this.#nextOfId[slot] = this.#byId[sameId] as number;
    this.#byId[sameId] = slot;
    this.#older[slot] = this.#newest;
    this.#newer[slot] = NONE;
    if (this.#newest === NONE) this.#oldest = slot;
    else this.#newer[this.#newest] = slot;
    this.#newest = slot;
  }

  /** Frees all slots of an id. */
  drop(id: NodeId): void {
    for (let slot = this.of(id); slot !== NONE; slot = this.of(id)) this.#freeSlot(slot);
  }

  #take(): number {
    if (this.#free === NONE && this.#used === MAX_SLOTS) this.#freeSlot(this.#oldest);
    const slot = this.#free;
    if (slot === NONE) return ++this.#used;
    this.#free = this.#nextOfPlace[slot] as number;
    return slot;
  }

  #freeSlot(slot: number): void {
    unlink(this.#byPlace, this.#nextOfPlace, this.#buckets[slot] as number, slot);
    unlink(this.#byId, this.#nextOfId, bucketOfId(this.#ids[slot] as number), slot);
    const older = this.#older[slot] as number;
    const newer = this.#newer[slot] as number;
    if (newer === NONE) this.#newest = older;
    else this.#older[newer] = older;
    if (older === NONE) this.#oldest = newer;
    else this.#newer[older] = newer;
    this.#names[slot] = "";
    this.#nextOfPlace[slot] = this.#free;
    this.#free = slot;
  }

  /** The slot of a place, as `at`. If it has none and its bucket is full, the oldest name in the bucket goes. */
  #makeRoom(bucket: number, parentId: NodeId, name: ByteName): number {
    let length = 0;
    let last = NONE;
    for (let slot = this.#byPlace[bucket] as number; slot !== NONE; slot = this.#nextOfPlace[slot] as number) {
      if (this.#isAt(slot, parentId, name)) return slot;
      last = slot;
      length++;
    }
    if (length >= LONGEST_CHAIN) this.#freeSlot(last);
    return NONE;
  }

  #isAt(slot: number, parentId: NodeId, name: ByteName): boolean {
    return this.#parents[slot] === parentId && this.#names[slot] === name;
  }

  #bucketOf(parentId: NodeId, name: ByteName): number {
    return this.#hash.ofText(parentId, name) & (MAX_SLOTS - 1);
  }

  #sameId(from: number, id: NodeId): number {
    let slot = from;
    while (slot !== NONE && this.#ids[slot] !== id) slot = this.#nextOfId[slot] as number;
    return slot;
  }
}

/** Ids are given one after the other. */
function bucketOfId(id: NodeId): number {
  return id & (MAX_SLOTS - 1);
}

/** A number from an array of doubles becomes a heap object if it is stored. Most ids are small integers, which need none. */
function numberIn(array: Float64Array, at: number): number {
  const exact = array[at] as number;
  const small = exact | 0;
  return small === exact ? small : exact;
}

function unlink(buckets: Int32Array, next: Int32Array, bucket: number, slot: number): void {
  let at = buckets[bucket] as number;
  if (at === slot) {
    buckets[bucket] = next[slot] as number;
    return;
  }
  while (next[at] !== slot) at = next[at] as number;
  next[at] = next[slot] as number;
}
