import { S } from "@sluice/vfs";
import { expect, test } from "vitest";
import { Node } from "../node/node.js";
import { OpenFile } from "../handles/handle-table.js";
import { IDLE_PLACES, IdleIo } from "./idle-io.js";
import { InodeIo } from "../node/inode-io.js";

function closedFile(idle: IdleIo, id: number, say: (io: InodeIo, node: Node) => void = () => undefined): Node {
  const node = new Node(id, S.IFREG);
  node.io = new InodeIo();
  say(node.io, node);
  idle.closed(node, node.io);
  return node;
}

const closeOthers = (idle: IdleIo, count: number): Node[] => Array.from({ length: count }, (_, at) => closedFile(idle, 1000 + at));

test("the state of a closed file goes once so many others were closed", () => {
  const idle = new IdleIo();
  const node = closedFile(idle, 1);
  const others = closeOthers(idle, IDLE_PLACES - 1);
  expect(node.io).toBeDefined();
  closeOthers(idle, 1);
  expect(node.io).toBeUndefined();
  expect(others.every(({ io }) => io !== undefined)).toBe(true);
});

test("a file that is opened and closed again and again keeps its state", () => {
  const idle = new IdleIo();
  const nodes = Array.from({ length: IDLE_PLACES / 2 }, (_, at) => closedFile(idle, at + 1));
  const states = nodes.map(({ io }) => io);
  for (let turn = 0; turn < 300; turn++) {
    const node = nodes[(turn * 7) % nodes.length] as Node;
    idle.closed(node, node.io as InodeIo);
  }
  expect(nodes.map(({ io }) => io)).toEqual(states);
});

test("state in use stays: an open file, a count, a registration, pages that the kernel has, an id of observed opens", () => {
  const idle = new IdleIo();
  const backing = { id: 1, fd: 3, layer: {} as never, writable: false, identity: undefined };
  const reopened = closedFile(idle, 1);
  const inUse = [
    closedFile(idle, 2, (io) => void io.cached++),
    closedFile(idle, 3, (io) => void io.direct++),
    closedFile(idle, 4, (io) => void io.passthrough++),
    closedFile(idle, 5, (io) => Object.assign(io, { backing })),
    closedFile(idle, 6, (io) => Object.assign(io, { pagesOf: new Uint32Array(1) })),
    closedFile(idle, 7, (io) => Object.assign(io, { observedOnly: true })),
  ];
  reopened.io?.handles.add(new OpenFile(1, reopened, 1, reopened.io));
  closeOthers(idle, 3 * IDLE_PLACES);
  expect([reopened, ...inUse].every(({ io }) => io !== undefined)).toBe(true);
});

test("a file that is still open takes no place, and no alias does", () => {
  const idle = new IdleIo();
  const node = closedFile(idle, 1);
  const open = new Node(2, S.IFREG);
  open.io = new InodeIo();
  open.io.handles.add(new OpenFile(1, open, 2, open.io));
  for (let turn = 0; turn < 2 * IDLE_PLACES; turn++) {
    idle.closed(open, open.io);
    idle.closed(node, new InodeIo());
  }
  expect(node.io?.idlePlace).toBe(0);
  expect(open.io.idlePlace).toBe(-1);
});
