import assert from "node:assert/strict";
import { seededRandom } from "@sluice/testkit/random";
import { S } from "@sluice/vfs";
import { expect, test } from "vitest";
import { MAX_SLOTS } from "./forgotten-names.js";
import { type ForgottenNode, ForgottenNodes } from "./forgotten-nodes.js";
import { Node } from "./node.js";

const root = new Node(1, S.IFDIR);

function fileAt(id: number, name: string, parent = root): Node {
  const node = new Node(id, S.IFREG);
  node.parent = parent;
  node.name = name;
  node.inoLo = id;
  return node;
}

test("of a file with thousands of names a few are remembered, and it is found again by each of them", () => {
  const node = fileAt(2, "first");
  node.others = Array.from({ length: 5000 }, (_, i) => ({ parent: root, name: `other${i}` }));
  const forgotten = new ForgottenNodes();
  forgotten.remember(node);
  const names = forgotten.get(2)?.names.map(({ name }) => name) ?? [];
  expect(names.length).toBe(32);
  expect(names[0]).toBe("first");
  for (const name of names) {
    expect(forgotten.take(node, root, name)).toBe(2);
    expect(node.unseenNames?.length).toBe(32);
    forgotten.remember(node);
  }
  expect(forgotten.get(2)?.names.length).toBe(32);
  expect(forgotten.take(node, root, "other4999")).toBe(0);
});

test("another object at the place is not taken for the one that was there, nor is that remembered any more", () => {
  const forgotten = new ForgottenNodes();
  const node = fileAt(2, "a");
  for (const other of [{ kind: S.IFDIR }, { inoLo: 3 }, { inoHi: 1 }]) {
    forgotten.remember(node);
    const found = new Node(9, other.kind ?? S.IFREG);
    Object.assign(found, { inoLo: other.inoLo ?? 2, inoHi: other.inoHi ?? 0 });
    expect(forgotten.take(found, root, "a")).toBe(0);
    expect(forgotten.get(2)).toBeUndefined();
  }
  forgotten.remember(node);
  expect(forgotten.take(fileAt(9, "a"), root, "a")).toBe(0);
  forgotten.remember(node);
  const same = new Node(9, S.IFREG);
  same.inoLo = 2;
  expect(forgotten.take(same, root, "a")).toBe(2);
  expect(same.unseenNames).toBeUndefined();
});

test("drops the oldest records if there are too many, but not a node that was looked up since", () => {
  const forgotten = new ForgottenNodes();
  for (let id = 2; id < MAX_SLOTS; id++) forgotten.remember(fileAt(id, `n${id}`));
  const back = fileAt(2, "n2");
  expect(forgotten.take(back, root, "n2")).toBe(2);
  forgotten.remember(back);
  for (let id = MAX_SLOTS; id < MAX_SLOTS + 10; id++) forgotten.remember(fileAt(id, `n${id}`));
  const left = [...forgotten.all()].map(({ id }) => id);
  expect(left.length).toBe(MAX_SLOTS);
  expect(left.slice(0, 11)).toEqual([...Array.from({ length: 10 }, (_, at) => MAX_SLOTS + 9 - at), 2]);
  expect(left.at(-1)).toBe(11);
  expect(forgotten.get(10)).toBeUndefined();
  expect(forgotten.get(2)?.names).toEqual([{ parentId: 1, name: "n2" }]);
});

test("keeps the order of an earlier mount's records, which are older than new ones", () => {
  const forgotten = new ForgottenNodes();
  const records: ForgottenNode[] = [7, 3, 5].map((id) => ({
    id,
    kind: S.IFREG,
    inoLo: id,
    inoHi: 0,
    names: [{ parentId: 1, name: `n${id}` }],
  }));
  forgotten.restore(records);
  expect([...forgotten.all()]).toEqual(records);
  forgotten.remember(fileAt(9, "n9"));
  expect([...forgotten.all()].map(({ id }) => id)).toEqual([9, 7, 3, 5]);
});

/** A plain model of the table: records by id, the oldest first. */
class Model {
  readonly records = new Map<number, ForgottenNode>();

  at(parentId: number, name: string): ForgottenNode | undefined {
    return [...this.records.values()].find((record) => record.names.some((one) => one.parentId === parentId && one.name === name));
  }

  remember(record: ForgottenNode): void {
    this.records.delete(record.id);
    for (const { parentId, name } of record.names) {
      const other = this.at(parentId, name);
      if (other !== undefined) this.records.delete(other.id);
    }
    this.records.set(record.id, record);
  }

  take(parentId: number, name: string): ForgottenNode | undefined {
    const record = this.at(parentId, name);
    if (record !== undefined) this.records.delete(record.id);
    return record;
  }
}

test("equals a plain list of records, over random changes", () => {
  const { below, once } = seededRandom(20_261_126);
  const parents = [root, new Node(2 ** 31 + 5, S.IFDIR), new Node(2 ** 40 + 5, S.IFDIR)];
  const forgotten = new ForgottenNodes();
  const model = new Model();
  const place = (): { parent: Node; name: string } => ({ parent: parents[below(parents.length)] as Node, name: `n${below(40)}` });
  for (let turn = 0; turn < 20_000; turn++) {
    const { parent, name } = place();
    if (once(2)) {
      const node = fileAt(10 + below(60) + (once(10) ? 2 ** 33 : 0), name, parent);
      node.inoLo = once(2) ? 0xffff_ffff : 1;
      const others = Array.from({ length: once(5) ? below(4) : 0 }, place);
      const all = [{ parent, name }, ...others].filter(
        (one, at, list) => list.findIndex((x) => x.parent === one.parent && x.name === one.name) === at,
      );
      if (all.length > 1) node.others = all.slice(1);
      forgotten.remember(node);
      const names = all.map((one) => ({ parentId: one.parent.id, name: one.name }));
      model.remember({ id: node.id, kind: S.IFREG, inoLo: node.inoLo, inoHi: 0, names });
    } else {
      const found = fileAt(5, name, parent);
      found.inoLo = 1;
      const known = model.take(parent.id, name);
      assert.equal(forgotten.take(found, parent, name), known?.inoLo === 1 ? known.id : 0);
      assert.deepEqual(found.unseenNames, known?.inoLo === 1 && known.names.length > 1 ? known.names : undefined);
    }
    if (turn % 100 === 0) assert.deepEqual([...forgotten.all()], [...model.records.values()].reverse());
    const id = 10 + below(60);
    assert.deepEqual(forgotten.get(id), model.records.get(id));
  }
});
