/** The journal for a process that takes over from a killed one: after each single store, and from other versions. */
import { seededRandom } from "@sluice/testkit/random";
import { expect, test } from "vitest";
import { Journal } from "./journal.js";
import { FORMAT_VERSION, Header, JOURNAL_BYTES, JournalError, type JournalMemory, tableLayout } from "./layout.js";
import type { NodeRecords } from "./node-records.js";
import { RecordKind } from "./node-words.js";

/** Sparse: pages are allocated at their first write. */
const buffer = new ArrayBuffer(JOURNAL_BYTES);

function blank(): JournalMemory {
  const memory = { words: new Uint32Array(buffer), bytes: new Uint8Array(buffer) };
  // Only the written part is undone: filling all of it would allocate every page.
  for (const place of written) memory.words[place] = 0;
  written.clear();
  return memory;
}

const written = new Set<number>();

/** For tests of very many stores: memory of its own, which is blank, has nothing to note and nobody to kill. */
function plainMemory(): JournalMemory {
  const own = new ArrayBuffer(JOURNAL_BYTES);
  return { words: new Uint32Array(own), bytes: new Uint8Array(own) };
}

class Killed extends Error {}

/** Memory whose writer is killed before its store number `limit`. */
function mortal(memory: JournalMemory, limit: number): JournalMemory & { stores: number } {
  const life = { stores: 0 };
  const watch = <T extends Uint8Array | Uint32Array>(array: T, bytesEach: number): T =>
    new Proxy(array, {
      get: (target, key) => (key === "slice" ? target.slice.bind(target) : Reflect.get(target, key, target)),
      set: (target, key, value: number) => {
        if (life.stores === limit) throw new Killed();
        life.stores++;
        written.add(Math.floor((Number(key) * bytesEach) / 4));
        target[Number(key)] = value;
        return true;
      },
    });
  return {
    words: watch(memory.words, 4),
    bytes: watch(memory.bytes, 1),
    get stores() {
      return life.stores;
    },
  };
}

/** Everything that a reader sees of the nodes, by id. */
function nodesOf({ nodes }: Journal): Record<number, unknown> {
  const seen: Record<number, unknown> = {};
  for (let slot = 1; slot < nodes.mark; slot++) {
    const kind = nodes.kindOf(slot);
    if (kind === RecordKind.node || kind === RecordKind.alias) seen[nodes.idOf(slot)] = { ...describe(nodes, slot) };
  }
  return seen;
}

/** Entries of the index that differ from the records, which are read one by one. */
function faultsOf({ nodes }: Journal): string[] {
  const faults: string[] = [];
  const children = new Map<number, number>();
  let size = 0;
  for (let slot = 1; slot < nodes.mark; slot++) {
    const kind = nodes.kindOf(slot);
    if (kind !== RecordKind.node && kind !== RecordKind.alias) continue;
    size++;
    if (nodes.idOf(nodes.byId(nodes.idOf(slot))) !== nodes.idOf(slot)) faults.push(`id ${nodes.idOf(slot)}`);
    if (kind === RecordKind.alias) {
      if (nodes.nextAlias(nodes.nodeOf(slot)) === 0) faults.push(`alias ${nodes.idOf(slot)}`);
      continue;
    }
    if (!nodes.isSound(slot)) faults.push(`unsound ${slot}`);
    for (let ref = nodes.firstName(slot); ref !== 0; ref = nodes.nextName(ref)) {
      const [parent, name] = [nodes.parentOf(ref), nodes.nameText(ref)];
      children.set(parent, (children.get(parent) ?? 0) + 1);
      if (nodes.byName(parent, name, (one) => one === slot) !== slot) faults.push(`name ${parent}/${name}`);
    }
  }
  for (const [slot, count] of children) if (nodes.childrenOf(slot) !== count) faults.push(`children of ${slot}`);
  if (nodes.size !== size) faults.push(`size ${nodes.size}, ${size} records`);
  return faults;
}

function describe(nodes: NodeRecords, slot: number): object {
  if (nodes.kindOf(slot) === RecordKind.alias) return { of: nodes.idOf(nodes.nodeOf(slot)), lookups: nodes.lookupsOf(slot) };
  const names: string[] = [];
  for (let ref = nodes.firstName(slot); ref !== 0; ref = nodes.nextName(ref)) names.push(`${nodes.parentOf(ref)}/${nodes.nameText(ref)}`);
  return { mode: nodes.modeOf(slot), lookups: nodes.lookupsOf(slot), names: names.sort(), lastPath: nodes.lastPathOf(slot) };
}

const file = (id: number) => ({ id, kind: 0o100000, lookups: 1, inoLo: id, inoHi: 0 });

/** One change for each step; each must be there completely or not at all. */
const steps: readonly ((journal: Journal, slots: number[]) => void)[] = [
  ({ nodes }, slots) => void slots.push(nodes.addNode({ ...file(1), kind: 0o040000 }, 0, 0, "")),
  ({ nodes }, slots) => void slots.push(nodes.addNode(file(2), 0, slots[0] as number, "first name")),
  ({ nodes }, slots) => nodes.setLookups(slots[1] as number, 7),
  ({ nodes }, slots) => nodes.addName(slots[1] as number, slots[0] as number, "a second name, of some length"),
  ({ nodes }, slots) =>
    nodes.changeName(slots[1] as number, { parent: slots[0] as number, name: "first name" }, { parent: slots[0] as number, name: "x" }),
  ({ nodes }, slots) => void slots.push(nodes.addAlias(3, slots[1] as number, { lookups: 2, flags: 0 })),
  ({ nodes }, slots) => nodes.removeName(slots[1] as number, slots[0] as number, "a second name, of some length"),
  ({ nodes }, slots) => nodes.removeName(slots[1] as number, slots[0] as number, "x"),
  ({ nodes }, slots) => nodes.setNameless(slots[1] as number, 0, "where it was"),
  ({ nodes }, slots) => nodes.remove(slots[2] as number),
  ({ nodes }, slots) => nodes.remove(slots[1] as number),
  ({ nodes }, slots) => void slots.push(nodes.addNode(file(9), 0, slots[0] as number, "in the place of what is gone")),
];

/** Runs the steps until the writer is killed; returns the state that a reader sees then. */
function killedAfter(limit: number): { seen: Record<number, unknown>; done: number; over: boolean } {
  const memory = blank();
  const own = mortal(memory, Number.POSITIVE_INFINITY);
  const begun = new Journal(own).starts;
  expect(begun).toBe(1);
  const dying = mortal(memory, limit);
  let done = 0;
  let over = true;
  try {
    // The constructor stores one word: the number of processes that have begun.
    const journal = new Journal(dying);
    const slots: number[] = [];
    for (const step of steps) {
      step(journal, slots);
      done++;
    }
  } catch (error) {
    if (!(error instanceof Killed)) throw error;
    over = false;
  }
  const next = new Journal(mortal(memory, Number.POSITIVE_INFINITY));
  expect(faultsOf(next), `killed before store ${limit}`).toEqual([]);
  return { seen: nodesOf(next), done, over };
}

test("a writer that is killed between any two stores leaves each change done or not done", () => {
  const states: string[] = [];
  for (let done = 0; done <= steps.length; done++) {
    const memory = blank();
    const journal = new Journal(mortal(memory, Number.POSITIVE_INFINITY));
    const slots: number[] = [];
    for (const step of steps.slice(0, done)) step(journal, slots);
    states.push(JSON.stringify(nodesOf(journal)));
  }
  let limit = 0;
  for (; ; limit++) {
    const { seen, done, over } = killedAfter(limit);
    expect([states[done], states[done + 1]], `killed before store ${limit}, in step ${done}`).toContain(JSON.stringify(seen));
    if (over) break;
  }
  expect(limit).toBeGreaterThan(100);
});

test("reuses freed slots and chunks: the memory stays as large as its peak use", () => {
  const journal = new Journal(plainMemory());
  const { nodes } = journal;
  const root = nodes.addNode({ ...file(1), kind: 0o040000 }, 0, 0, "");
  const cycle = (): void => {
    const slots = Array.from({ length: 200 }, (_, i) => nodes.addNode(file(10 + i), 0, root, `name ${"x".repeat(i % 60)}`));
    for (const slot of slots) nodes.remove(slot);
  };
  cycle();
  const before = { mark: nodes.mark, arena: journal.arenaBytes };
  for (let i = 0; i < 20; i++) cycle();
  expect({ mark: nodes.mark, arena: journal.arenaBytes }).toEqual(before);
});

test("a process that takes over finds free slots free, and continues behind the ids that were given away", () => {
  const memory = blank();
  const first = new Journal(mortal(memory, Number.POSITIVE_INFINITY));
  expect(first.takenOver).toBe(false);
  const slots = Array.from({ length: 50 }, (_, i) => first.nodes.addNode(file(i + 1), 0, i === 0 ? 0 : 1, `n${i}`));
  for (const slot of slots.slice(10, 20)) first.nodes.remove(slot);
  const limit = first.reserveIds(51);
  const { arenaBytes } = first;
  const second = new Journal(mortal(memory, Number.POSITIVE_INFINITY));
  expect(second.takenOver).toBe(true);
  expect(second.nextId).toBe(limit);
  for (let i = 0; i < 10; i++) expect(slots.slice(10, 20)).toContain(second.nodes.addNode(file(100 + i), 0, 1, `m${i}`));
  expect(second.arenaBytes).toBe(arenaBytes);
});

test("finds the answer or the intent of a request that comes again", () => {
  const memory = blank();
  const first = new Journal(mortal(memory, Number.POSITIVE_INFINITY)).requests;
  const answered = first.begin(10, 0, 9);
  first.answer(answered, Uint8Array.of(16, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0), 16);
  const intended = first.begin(12, 0, 12);
  first.intend(intended, { kind: 3, numbers: [2 ** 40 + 5, 0], names: ["from", "\xff\x01"] });
  const over = first.begin(14, 0, 9);
  first.end(over);
  const second = new Journal(mortal(memory, Number.POSITIVE_INFINITY)).requests;
  const RESENT = 0x8000_0000;
  expect(second.answerOf(second.findAnswered(10, RESENT))[8]).toBe(10);
  expect(second.findAnswered(12, RESENT)).toBe(0);
  expect(second.intentOf(second.begin(12, RESENT, 12))).toEqual({ kind: 3, numbers: [2 ** 40 + 5, 0], names: ["from", "\xff\x01"] });
  expect(second.intentOf(second.begin(14, RESENT, 9))).toBeUndefined();
  second.end(second.findAnswered(10, RESENT));
  expect(second.findAnswered(10, RESENT)).toBe(0);
});

test("requests that do not come again are forgotten with the first new request, and no sooner", () => {
  const memory = blank();
  const first = new Journal(mortal(memory, Number.POSITIVE_INFINITY)).requests;
  for (const unique of [10, 12, 14, 16]) first.begin(unique, 0, 9);
  const second = new Journal(mortal(memory, Number.POSITIVE_INFINITY)).requests;
  const known = (): number[] => [...second.all()].map(({ uniqueLo }) => uniqueLo);
  const RESENT = 0x8000_0000;
  second.begin(12, RESENT, 9);
  second.begin(8, RESENT, 9);
  second.begin(14, RESENT, 9);
  expect(known()).toEqual([10, 12, 14, 16, 8]);
  second.begin(18, 0, 9);
  expect(known().sort((a, b) => a - b)).toEqual([8, 12, 14, 18]);
});

test("locks keep all of their 64 bits", () => {
  const memory = blank();
  const lock = {
    whole: false,
    write: true,
    node: 3,
    owner: 0xfedc_ba98_7654_3210n,
    handle: 2 ** 33,
    pid: 7,
    start: 5n,
    end: 2n ** 63n - 1n,
  };
  new Journal(mortal(memory, Number.POSITIVE_INFINITY)).locks.add(lock);
  const [found] = new Journal(mortal(memory, Number.POSITIVE_INFINITY)).locks.all();
  expect(found).toMatchObject(lock);
});

test.each([
  ["of a newer format", Header.version, FORMAT_VERSION + 1, /has format 2, and this version reads up to 1/],
  ["with a feature from the future", Header.features, 4, /needs features \(0x4\)/],
  ["that is none", Header.magicHi, 1, /no journal of this program/],
  ["whose tables lie outside", Header.tables, 0xffff_ffff, /damaged/],
])("a journal %s is refused with a sentence that says what to do", (_, word, value, message) => {
  const memory = blank();
  const journal = new Journal(mortal(memory, Number.POSITIVE_INFINITY));
  expect(journal.starts).toBe(1);
  memory.words[word] = value;
  const refused = (): Journal => new Journal(mortal(memory, Number.POSITIVE_INFINITY));
  expect(refused).toThrow(JournalError);
  expect(refused).toThrow(message);
  expect(refused).toThrow(/unmount and mount again/);
});

type Damage = [string, (words: Uint32Array, base: number) => void];

const DAMAGED_NAMES: Damage[] = [
  ["a name outside of the arena", (words, node) => void (words[node + 4] = 0x100_0000)],
  ["names in a circle", (words, node) => void (words[arenaOf(words) + (words[node + 4] as number) * 4 + 1] = words[node + 4] as number)],
  ["a name of any length", (words, node) => void (words[arenaOf(words) + (words[node + 4] as number) * 4 + 2] = 0xffff_ffff)],
  ["a name in no directory", (words, node) => void (words[arenaOf(words) + (words[node + 4] as number) * 4] = 0x100_0000)],
];

test.each<Damage>([
  ["more records than there is room for", (words) => void (words[Header.tables + 3] = 0xffff_ffff)],
  ["more of the arena than there is", (words) => void (words[Header.arenaMark] = 0xffff_ffff)],
  ...DAMAGED_NAMES,
  ["a request with more names than there is room for", (words) => void (words[requestOf(words) + 4] = 0xffff_0001)],
  ["an answer that is too long", (words) => words.set([2, 0, 0, 0, 0, 0xffff_ffff], requestOf(words))],
])("a journal with %s is refused if its index must be made again, and causes no endless walk", (_, damage) => {
  const memory = blank();
  const journal = new Journal(mortal(memory, Number.POSITIVE_INFINITY));
  const root = journal.nodes.addNode({ ...file(1), kind: 0o040000 }, 0, 0, "");
  const slot = journal.nodes.addNode(file(2), 0, root, "name");
  journal.requests.begin(10, 0, 9);
  damage(memory.words, tableLayout(memory.words, "nodes").base + slot * 16);
  for (const place of [requestOf(memory.words) + 4, requestOf(memory.words) + 5]) written.add(place);
  memory.words[Header.busy] = 1;
  expect(() => new Journal(mortal(memory, Number.POSITIVE_INFINITY))).toThrow(JournalError);
});

test.each(DAMAGED_NAMES)("with an index, the record with %s is not sound, and lookups end", (_, damage) => {
  const memory = blank();
  const journal = new Journal(mortal(memory, Number.POSITIVE_INFINITY));
  const root = journal.nodes.addNode({ ...file(1), kind: 0o040000 }, 0, 0, "");
  const slot = journal.nodes.addNode(file(2), 0, root, "name");
  damage(memory.words, tableLayout(memory.words, "nodes").base + slot * 16);
  const { nodes } = new Journal(mortal(memory, Number.POSITIVE_INFINITY));
  expect([nodes.isSound(root), nodes.isSound(slot)]).toEqual([true, false]);
  expect(nodes.byId(2)).toBe(slot);
  expect(nodes.byName(root, "other", () => true)).toBe(0);
});

test("over random changes the index equals the records, also for a process that takes over", () => {
  const { below, once } = seededRandom(20_261_129);
  const memory = plainMemory();
  let journal = new Journal(memory);
  const root = journal.nodes.addNode({ ...file(1), kind: 0o040000 }, 0, 0, "");
  const known = new Map<number, Set<string>>();
  let nextId = 2;
  let takeOvers = 0;
  for (let turn = 0; turn < 6_000; turn++) {
    const { nodes } = journal;
    const slots = [...known.keys()];
    const slot = slots[below(Math.max(1, slots.length))];
    const name = `n${nextId}${"x".repeat(below(40))}`;
    const what = below(slots.length > 1_500 ? 12 : 20);
    if (slot === undefined || what > 8) {
      const id = once(50) ? nextId++ + 2 ** 33 : nextId++;
      known.set(nodes.addNode(file(id), 0, root, name), new Set([name]));
    } else if (what < 2) {
      nodes.addName(slot, root, name);
      known.get(slot)?.add(name);
      nextId++;
    } else if (what < 4) {
      const names = known.get(slot) as Set<string>;
      const [first = ""] = names;
      nodes.changeName(slot, { parent: root, name: first }, { parent: root, name });
      names.delete(first);
      names.add(name);
      nextId++;
    } else if (what < 5) {
      const [first = ""] = known.get(slot) as Set<string>;
      nodes.removeName(slot, root, first);
      known.get(slot)?.delete(first);
    } else if (what < 6) nodes.setId(slot, nextId++);
    else {
      nodes.remove(slot);
      known.delete(slot);
    }
    if (turn % 300 !== 299) continue;
    expect(faultsOf(journal)).toEqual([]);
    const before = { size: nodes.size, mark: nodes.mark, arena: journal.arenaBytes };
    memory.words[Header.busy] = takeOvers++ % 3 === 2 ? 1 : 0;
    journal = new Journal(memory);
    expect(faultsOf(journal)).toEqual([]);
    expect({ size: journal.nodes.size, mark: journal.nodes.mark, arena: journal.arenaBytes }).toEqual(before);
  }
});

test("a process that takes over reads no record before somebody asks for it", () => {
  const memory = plainMemory();
  const first = new Journal(memory);
  const root = first.nodes.addNode({ ...file(1), kind: 0o040000 }, 0, 0, "");
  for (let id = 2; id < 2_000; id++) first.nodes.addNode(file(id), 0, root, `n${id}`);
  const { base } = tableLayout(memory.words, "nodes");
  let reads = 0;
  const counted = new Proxy(memory.words, {
    get: (target, key) => {
      if (typeof key === "string" && Number(key) >= base && Number(key) < base + 2_000 * 16) reads++;
      return Reflect.get(target, key, target);
    },
  });
  const second = new Journal({ words: counted, bytes: memory.bytes });
  expect(reads).toBe(0);
  expect(second.nodes.idOf(second.nodes.byName(root, "n1234", () => true))).toBe(1234);
  expect(reads).toBeLessThan(100);
});

test("an earlier build wrote in between: the index is made again", () => {
  const memory = blank();
  const first = new Journal(mortal(memory, Number.POSITIVE_INFINITY));
  const root = first.nodes.addNode({ ...file(1), kind: 0o040000 }, 0, 0, "");
  const slot = first.nodes.addNode(file(2), 0, root, "a");
  // It counts itself, gives another id to the record, and knows no index.
  memory.words[Header.starts] = (memory.words[Header.starts] as number) + 1;
  memory.words[tableLayout(memory.words, "nodes").base + slot * 16 + 1] = 7;
  const { nodes } = new Journal(mortal(memory, Number.POSITIVE_INFINITY));
  expect([nodes.byId(2), nodes.byId(7)]).toEqual([0, slot]);
});

const arenaOf = (words: Uint32Array): number => tableLayout(words, "arena").base;
const requestOf = (words: Uint32Array): number => tableLayout(words, "requests").base + 256;
