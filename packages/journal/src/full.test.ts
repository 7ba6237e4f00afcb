/** A journal without room left: a table or the arena has fewer places than there is to write. */
import { expect, test } from "vitest";
import { Journal } from "./journal.js";
import { type JournalMemory, tableLayout, type TableName } from "./layout.js";
import { uncountedBytes, viewsOf } from "./memory.js";

const LONG = "n".repeat(255);
const file = (id: number): { id: number; kind: number; lookups: number; inoLo: number; inoHi: number } => ({
  ...{ id, kind: 0o100000, lookups: 1, inoLo: id, inoHi: 0 },
});

/** In a table's description the capacity comes before the mark. */
const capacityAt = ({ words }: JournalMemory, table: TableName): number => tableLayout(words, table).markAt - 1;

/** A new journal, and the memory for another one. */
function withRoom(table: TableName, places: number): { journal: Journal; memory: JournalMemory } {
  const memory = viewsOf(uncountedBytes());
  expect(new Journal(memory).nodes.used).toBe(0);
  memory.words[capacityAt(memory, table)] = places;
  return { journal: new Journal(memory), memory };
}

test("a node whose record does not fit has none", () => {
  const { nodes } = withRoom("nodes", 3).journal;
  const root = nodes.addNode(file(1), 0, 0, "");
  expect(nodes.addNode(file(2), 0, root, "a")).toBeGreaterThan(0);
  expect(nodes.addNode(file(3), 0, root, "b")).toBe(0);
  expect(nodes.byId(3)).toBe(0);
});

test("a node whose name does not fit has no record, and takes no place", () => {
  const { journal, memory } = withRoom("arena", 20);
  const { nodes } = journal;
  const root = nodes.addNode(file(1), 0, 0, "");
  const first = nodes.addNode(file(2), 0, root, LONG);
  expect(first).toBeGreaterThan(0);
  const { used } = nodes;
  expect(nodes.addNode(file(3), 0, root, LONG)).toBe(0);
  expect(nodes.byId(3)).toBe(0);
  expect(nodes.used).toBe(used);
  nodes.remove(first);
  const again = nodes.addNode(file(3), 0, root, LONG);
  expect(nodes.hasName(again, root, LONG)).toBe(true);
  expect(new Journal(memory).nodes.byId(3)).toBe(again);
});

test("a new name that does not fit is missing, and so is the old one", () => {
  const { nodes } = withRoom("arena", 20).journal;
  const root = nodes.addNode(file(1), 0, 0, "");
  const slot = nodes.addNode(file(2), 0, root, "short");
  nodes.addNode(file(3), 0, root, "n".repeat(200));
  nodes.changeName(slot, { parent: root, name: "short" }, { parent: root, name: LONG });
  expect(nodes.hasName(slot, root, "short")).toBe(false);
  expect(nodes.hasName(slot, root, LONG)).toBe(false);
});

test("an alias of a node without a record has none", () => {
  const { nodes } = withRoom("nodes", 1).journal;
  const none = nodes.addNode(file(1), 0, 0, "");
  expect(none).toBe(0);
  expect(nodes.addAlias(2, none, { lookups: 1, flags: 0 })).toBe(0);
});

test("half a million open files have a record", () => {
  const { handles } = new Journal(viewsOf(uncountedBytes()));
  const open = { node: 1, nodeId: 2, mode: 0, write: false, flags: 0, layer: 0, backingId: 0 };
  let last = 0;
  for (let handle = 1; handle <= 500_000; handle++) last = handles.addFile({ ...open, handle }, { slot: 0, unique: 0 });
  expect(handles.read(last)).toMatchObject({ handle: 500_000 });
});
