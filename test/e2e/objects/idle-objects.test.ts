/**
 * Files that nobody uses become records, and objects again when somebody asks for them. Most tests call the overlay as the engine would,
 * since a kernel that has cached a file asks nothing.
 */
import { appendFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { Journal, type JournalMemory, uncountedBytes, viewsOf } from "@sluice/journal";
import type { Gate, Overlay, OverlayConfig, Ruling } from "@sluice/overlay";
import { directory, identifyProcess, killProcess, mountSluice, plant, type ProcessIdentity, requires, scratch } from "@sluice/testkit";
import { Attr, type CallContext, O, S, type SetAttr, type Status } from "@sluice/vfs";
import { expect } from "vitest";
import { entry, OPEN_GATE, opened, overlayOver } from "../harness/bare-overlay.js";
import { lettingObjectsGo } from "../harness/letting-objects-go.js";

const { test } = requires("CAP_SYS_ADMIN");
const mounted = requires("CAP_SYS_ADMIN", "/dev/fuse");

const FILES = 400;
const MAX_OBJECTS = 16;
const ROOT = 1;
const call: CallContext = { uid: 0, gid: 0, pid: 1, groups: undefined, labels: [], signal: new AbortController().signal };
const GRANT: Ruling = { effect: "grant", errno: 0 };
const SHORTEN: SetAttr = {
  ...{ mode: undefined, uid: undefined, gid: undefined, atime: undefined, mtime: undefined, handle: undefined, killSuidgid: false },
  size: 3,
};
/** Tables of the journal, packages/journal/src/layout.ts; the places that a full one has for all files. */
const [NODES, ARENA, ROOM] = [0, 5, 100];
/** The word of a table's description with the number of its places. */
const capacityAt = (table: number): number => 16 + table * 4 + 2;
const names = Array.from({ length: FILES }, (_, number) => `file-${number}`);

class Known {
  readonly dropped: string[] = [];
  readonly overlay: Overlay;

  constructor(gate: Gate = OPEN_GATE, more: Partial<Pick<OverlayConfig, "recordMemory">> = {}) {
    this.base = scratch();
    plant(this.base, { "lower/tree/": directory(), "upper/": directory(), "work/": directory() });
    for (const name of names) writeFileSync(join(this.base, "lower/tree", name), name);
    const onDropped = (name: string): void => void this.dropped.push(name);
    this.overlay = overlayOver(this.base, gate, { maxIdleObjects: MAX_OBJECTS, onDropped, ...more });
    this.tree = this.lookUp(ROOT, "tree").nodeId;
  }

  readonly base: string;
  readonly tree: number;

  lookUp(parent: number, name: string): { nodeId: number; ino: number } {
    const out = entry();
    expect(this.overlay.lookup(call, parent, name, out), name).toBe(0);
    return { nodeId: out.nodeId, ino: out.attr.ino };
  }

  /** Looks at files one by one, until few of them are objects. */
  async lookAtAll(which = names): Promise<{ nodeId: number; ino: number }[]> {
    const seen: { nodeId: number; ino: number }[] = [];
    for (const name of which) {
      seen.push(this.lookUp(this.tree, name));
      await nextTurn();
    }
    return seen;
  }

  statOf(nodeId: number): { ino: number; nlink: number } | number {
    const out = { attr: new Attr(), attrTtlMs: 0 };
    const status = this.overlay.getattr(call, nodeId, undefined, out);
    return status === 0 ? { ino: out.attr.ino, nlink: out.attr.nlink } : (status as number);
  }

  get objects(): number {
    return this.overlay.status().nodeObjects;
  }
}

async function read(overlay: Overlay, node: number, handle: number): Promise<string> {
  let bytes = new Uint8Array(0);
  const out = { length: 0, reserve: (length: number) => (bytes = new Uint8Array(length)) };
  expect(await overlay.read(call, node, { handle, offset: 0, size: 100, flags: 0 }, out)).toBe(0);
  return Buffer.from(bytes).toString("latin1", 0, out.length);
}

test("a file keeps its id, its inode number and the kernel's references while it is a record", async () => {
  const known = new Known();
  const first = await known.lookAtAll();
  expect(known.objects).toBeLessThan(FILES / 2);
  expect(known.overlay.status().nodes).toBe(FILES + 2);
  for (const { nodeId, ino } of first) {
    expect(known.statOf(nodeId)).toEqual({ ino, nlink: 1 });
    await nextTurn();
  }
  expect(await known.lookAtAll()).toEqual(first);
  expect(known.objects).toBeLessThan(FILES / 2);
  // Each was looked up twice.
  for (const { nodeId } of first) known.overlay.forget(nodeId, 1);
  expect(known.overlay.status().nodes).toBe(FILES + 2);
  for (const { nodeId } of first) known.overlay.forget(nodeId, 1);
  expect(known.overlay.status()).toMatchObject({ nodes: 2, nodeObjects: 2 });
});

test("records follow the names of their files and directories", async () => {
  const known = new Known();
  const { overlay, tree } = known;
  const ids = (await known.lookAtAll()).map(({ nodeId }) => nodeId);
  const made = { mode: S.IFDIR | 0o755, umask: 0, rdev: 0 };
  expect(await overlay.mkdir(call, { parent: ROOT, name: "other" }, made, entry())).toBe(0);
  const other = known.lookUp(ROOT, "other").nodeId;
  const move = (name: string, newParent: number, newName: string): Status =>
    overlay.rename(call, { parent: tree, name, newParent, newName, flags: 0 });
  expect(await move("file-1", other, "moved")).toBe(0);
  expect(await move("file-2", tree, "file-3")).toBe(0);
  expect(await overlay.unlink(call, tree, "file-4")).toBe(0);
  expect(await overlay.link(call, ids[5] as number, { parent: other, name: "linked" }, entry())).toBe(0);
  expect(known.lookUp(other, "moved").nodeId).toBe(ids[1]);
  expect(known.lookUp(tree, "file-3").nodeId).toBe(ids[2]);
  expect(known.lookUp(other, "linked").nodeId).toBe(ids[5]);
  expect(known.statOf(ids[5] as number)).toMatchObject({ nlink: 2 });
  for (const gone of ["file-1", "file-2", "file-4"]) {
    const out = entry();
    expect(overlay.lookup(call, tree, gone, out), gone).toBe(0);
    expect(out.nodeId, gone).toBe(0);
  }
});

test("a file that a call uses stays an object while the call waits", async () => {
  let answer: (ruling: Ruling) => void = () => undefined;
  const answered = new Promise<Ruling>((resolve) => {
    answer = resolve;
  });
  const gate: Gate = {
    ...OPEN_GATE,
    active: true,
    governs: () => true,
    authorize: (_call, { paths }) => (paths.includes("tree/file-7") ? answered : GRANT),
  };
  const known = new Known(gate);
  const { overlay } = known;
  const { nodeId } = known.lookUp(known.tree, "file-7");
  const out = opened();
  const opening = overlay.open(call, nodeId, O.RDONLY, out) as Promise<number>;
  await known.lookAtAll(names.filter((name) => name !== "file-7"));
  answer({ effect: "mediate", errno: 0 });
  expect(await opening).toBe(0);
  // A reader sees what another caller writes after a copy-up: both have the same node.
  expect(await overlay.setattr(call, nodeId, SHORTEN, { attr: new Attr(), attrTtlMs: 0 })).toBe(0);
  expect(await read(overlay, nodeId, out.handle)).toBe("fil");
});

test("names of records that become hidden are dropped by the kernel", async () => {
  const gate = { ...OPEN_GATE, hidesNames: false, hides: (directory: string, name: string) => `${directory}/${name}` === "tree/file-9" };
  const known = new Known(gate);
  await known.lookAtAll();
  expect(known.objects).toBeLessThan(FILES / 2);
  gate.hidesNames = true;
  await known.overlay.dropHiddenNames();
  expect(known.dropped).toContain("file-9");
  expect(known.dropped).not.toContain("file-8");
});

test("without memory for records, every node stays an object", async () => {
  const known = new Known(OPEN_GATE, { recordMemory: () => undefined });
  const first = await known.lookAtAll();
  expect(known.overlay.status()).toMatchObject({ nodes: FILES + 2, nodeObjects: FILES + 2 });
  expect(await known.lookAtAll()).toEqual(first);
});

for (const [what, table] of [
  ["records", NODES],
  ["names", ARENA],
] as const) {
  test(`a file stays an object if there is no room for more ${what}`, async () => {
    const recordMemory = (): JournalMemory => {
      const memory = viewsOf(uncountedBytes());
      expect(new Journal(memory).nodes.used).toBe(0);
      memory.words[capacityAt(table)] = ROOM;
      return memory;
    };
    const known = new Known(OPEN_GATE, { recordMemory });
    const first = await known.lookAtAll();
    expect(known.objects).toBeGreaterThan(FILES - ROOM);
    expect(known.objects).toBeLessThan(FILES);
    expect(await known.lookAtAll()).toEqual(first);
    for (const { nodeId, ino } of first) expect(known.statOf(nodeId)).toEqual({ ino, nlink: 1 });
    const other = { newParent: known.tree, newName: "n".repeat(255) };
    expect(await known.overlay.rename(call, { parent: known.tree, name: "file-1", ...other, flags: 0 })).toBe(0);
    expect(known.lookUp(known.tree, other.newName).nodeId).toBe(first[1]?.nodeId);
    expect(known.statOf(first[1]?.nodeId as number)).toMatchObject({ ino: first[1]?.ino });
  });
}

mounted.test("a mount that lets every idle object go shows what it showed before, also by the next server", async () => {
  const lower = join(scratch(), "lower");
  mkdirSync(lower);
  for (const name of names) writeFileSync(join(lower, name), name);
  const { env, gone } = lettingObjectsGo();
  const mount = await mountSluice({ lowers: [lower], upper: scratch(), args: ["--keeper", "on"], env });
  const at = (name: string): string => join(mount.mountpoint, name);
  const inos = (): number[] => names.map((name) => statSync(at(name)).ino);
  const first = inos();
  expect(inos()).toEqual(first);
  expect(gone()).toBeGreaterThan(FILES / 2);
  appendFileSync(at("file-1"), " and more");
  killProcess(identifyProcess(mount.serverPid) as ProcessIdentity);
  expect(inos()).toEqual(first);
  expect(readFileSync(at("file-1"), "utf8")).toBe("file-1 and more");
  expect(readFileSync(at("file-2"), "utf8")).toBe("file-2");
});
