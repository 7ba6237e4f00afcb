/**
 * State of another version of this program. A build wrote each of FIXTURES: checked in, and never changed. If this test notices a
 * change of the format, undo it, or add a fixture: `SLUICE_WRITE_FIXTURE=1 npx vitest run packages/journal/src/versions.test.ts` writes a
 * missing one. If an older build could not read it, raise FORMAT_VERSION, too.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { Journal } from "./journal.js";
import { FORMAT_VERSION, Header, JOURNAL_BYTES, type JournalMemory, TableId } from "./layout.js";
import { NodeFlag, RecordKind } from "./node-words.js";

/** Sparse: pages are allocated at their first write. */
function blank(): JournalMemory & { touched: Set<number> } {
  const buffer = new ArrayBuffer(JOURNAL_BYTES);
  const touched = new Set<number>();
  const watch = <T extends Uint8Array | Uint32Array>(array: T, bytesEach: number): T =>
    new Proxy(array, {
      get: (target, key) => (key === "slice" ? target.slice.bind(target) : Reflect.get(target, key, target)),
      set: (target, key, value: number) => {
        touched.add(Math.floor((Number(key) * bytesEach) / 4));
        target[Number(key)] = value;
        return true;
      },
    });
  return { words: watch(new Uint32Array(buffer), 4), bytes: watch(new Uint8Array(buffer), 1), touched };
}

/** The second has the index of nodes, which builds of the first do not look at. */
const FIXTURES = ["format-1", "format-1-index", "format-1-handles"];
const NEWEST = FIXTURES.at(-1) as string;
const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}.words`, import.meta.url));

/** For hashes that are the same in each run. */
const fixedWords = (): Uint32Array => Uint32Array.from({ length: 256 }, (_, at) => Math.imul(at + 1, 0x9e37_79b1));

/** One line for each run of words: its start, and the words, in hexadecimal. */
function textOf({ words, touched }: ReturnType<typeof blank>): string {
  const lines: string[] = [];
  let last = -2;
  for (const at of [...touched].sort((a, b) => a - b)) {
    const word = (words[at] as number).toString(16);
    if (at === last + 1) lines.push(`${lines.pop() ?? ""} ${word}`);
    else lines.push(`${at.toString(16)}: ${word}`);
    last = at;
  }
  return `${lines.join("\n")}\n`;
}

function memoryOf(text: string): ReturnType<typeof blank> {
  const memory = blank();
  for (const line of text.trim().split("\n")) {
    const [start = "", values = ""] = line.split(": ");
    for (const [index, word] of values.split(" ").entries()) memory.words[Number.parseInt(start, 16) + index] = Number.parseInt(word, 16);
  }
  return memory;
}

const DIRECTORY = 0o040000;
const FILE = 0o100000;

/** One of each kind of record. */
function writeSample(memory: JournalMemory): void {
  const { nodes, handles, requests, locks, reroutes, ...journal } = new Journal(memory, fixedWords);
  void journal;
  const of = (id: number, kind: number) => ({ id, kind, lookups: id, inoLo: id * 16, inoHi: 1 });
  const root = nodes.addNode(of(1, DIRECTORY), 0, 0, "");
  const file = nodes.addNode(of(2, FILE), NodeFlag.shown, root, "file");
  nodes.addName(file, root, "its second name, \xff\x01");
  nodes.setLink(file, NodeFlag.linked, { lo: 7, hi: 8, device: 9 });
  nodes.addAlias(3, file, { lookups: 4, flags: NodeFlag.observedOnly | NodeFlag.current });
  const gone = nodes.addNode(of(2 ** 40 + 5, FILE), 0, root, "gone");
  nodes.removeName(gone, root, "gone");
  nodes.setNameless(gone, 1, "where/it/was");
  const by = { slot: 0, unique: 0 };
  const open = handles.addFile({ handle: 2 ** 33, node: file, nodeId: 3, mode: 2, write: true, flags: 0o2001, layer: 1, backingId: 6 }, by);
  handles.attach(open, "a decision");
  handles.setRefused(open, 13);
  handles.setReading(handles.addDirectory(5, root, by), 1, 200);
  requests.intend(requests.begin(12, 0, 12), { kind: 3, numbers: [2 ** 40 + 5, 0], names: ["from", "to"] });
  requests.answer(
    requests.begin(14, 0, 9),
    Uint8Array.from({ length: 20 }, (_, at) => at),
    20,
  );
  locks.add({ whole: false, write: true, node: file, owner: 2n ** 63n + 1n, handle: 2 ** 33, pid: 7, start: 5n, end: 2n ** 63n - 1n });
  reroutes.setLookedUp(reroutes.add(77, file, true));
}

/** The current build's reading of it. */
function readSample(memory: JournalMemory): unknown {
  const { nodes, handles, requests, locks, reroutes, takenOver } = new Journal(memory);
  const known = [];
  for (let slot = 1; slot < nodes.mark; slot++) {
    const kind = nodes.kindOf(slot);
    const about = { slot, kind, id: nodes.idOf(slot), lookups: nodes.lookupsOf(slot) };
    if (kind === RecordKind.free || kind === RecordKind.furtherName) continue;
    const found = nodes.byId(about.id) === slot;
    if (kind === RecordKind.alias) {
      known.push({ ...about, found, of: nodes.nodeOf(slot), current: nodes.has(slot, NodeFlag.current) });
      continue;
    }
    const names = [];
    for (let ref = nodes.firstName(slot); ref !== 0; ref = nodes.nextName(ref)) {
      const [parent, name] = [nodes.parentOf(ref), nodes.nameText(ref)];
      names.push([parent, name, nodes.byName(parent, name, () => true) === slot]);
    }
    const ino = [nodes.inoLo(slot), nodes.inoHi(slot)];
    known.push({
      ...about,
      found,
      children: nodes.childrenOf(slot),
      mode: nodes.modeOf(slot),
      ino,
      names,
      link: nodes.linkOf(slot),
      lastPath: nodes.lastPathOf(slot),
    });
  }
  return {
    takenOver,
    known,
    open: [handles.read(1), handles.attachedTo(1), handles.refusedBy(1), handles.read(2)],
    requests: [requests.intentOf(requests.begin(12, 0, 12)), [...requests.answerOf(requests.findAnswered(14, 0))]],
    locks: [...locks.all()],
    reroutes: [...reroutes.all()],
  };
}

const expected = (): unknown => {
  const memory = blank();
  writeSample(memory);
  return readSample(memory);
};

/** Slots are numbered as they are taken, and an entry of the index takes one. */
const withoutSlots = (sample: unknown): unknown =>
  JSON.parse(
    JSON.stringify(sample, (key, value: unknown) => {
      if (["slot", "of", "node", "children"].includes(key)) return undefined;
      return typeof value === "bigint" ? String(value) : value;
    }),
  );

test("writes the newest fixture, word for word", () => {
  const memory = blank();
  writeSample(memory);
  const text = textOf(memory);
  if (process.env["SLUICE_WRITE_FIXTURE"] !== undefined && !existsSync(fixture(NEWEST))) writeFileSync(fixture(NEWEST), text);
  expect(text).toBe(readFileSync(fixture(NEWEST), "utf8"));
});

test("reads what it wrote", () => {
  expect(readSample(memoryOf(readFileSync(fixture(NEWEST), "utf8")))).toEqual(expected());
});

test.each(FIXTURES)("reads the state of %s", (name) => {
  expect(withoutSlots(readSample(memoryOf(readFileSync(fixture(name), "utf8"))))).toEqual(withoutSlots(expected()));
});

test("a build leaves an unknown later addition of its format alone", () => {
  const memory = memoryOf(readFileSync(fixture(NEWEST), "utf8"));
  // A table behind the last known one, described in the header, with content.
  const described = Header.tables + Object.keys(TableId).length * 4;
  const page = JOURNAL_BYTES / 4096 - 1;
  const added: [number, number][] = [
    [described, page],
    [described + 1, 8],
    [described + 2, 64],
    [described + 3, 2],
    [page * 1024 + 8, 0x1234],
  ];
  for (const [at, word] of added) memory.words[at] = word;
  expect(readSample(memory)).toEqual(expected());
  const { nodes } = new Journal(memory);
  for (let id = 100; id < 300; id++) nodes.addNode({ id, kind: FILE, lookups: 1, inoLo: id, inoHi: 0 }, 0, 1, `n${id}`);
  for (const [at, word] of added) expect(memory.words[at]).toBe(word);
  expect(memory.words[Header.version]).toBe(FORMAT_VERSION);
});
