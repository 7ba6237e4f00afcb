import { expect, test } from "vitest";
import { aclForLayer, showAcl } from "./acl-ids.js";
import { IdMap, OVERFLOW_ID } from "./id-map.js";

const ranges = [
  { layer: 0, shown: 1000, count: 1 },
  { layer: 1, shown: 110_000, count: 65_536 },
];

test("maps ranges both ways, and an id outside of them nowhere", () => {
  const map = new IdMap(ranges, undefined);
  expect([0, 1, 65_536].map((id) => map.toShown(id))).toEqual([1000, 110_000, 175_535]);
  expect(map.toShown(65_537)).toBe(OVERFLOW_ID);
  expect([1000, 110_000, 175_535].map((id) => map.toLayer(id))).toEqual([0, 1, 65_536]);
  expect([0, 999, 1001, 175_536].map((id) => map.toLayer(id))).toEqual([undefined, undefined, undefined, undefined]);
});

test("squashing is one way only", () => {
  const map = new IdMap([], 7);
  expect([map.toShown(0), map.toShown(42), map.toLayer(42)]).toEqual([7, 7, 42]);
  expect([map.isIdentity, new IdMap([], undefined).isIdentity]).toEqual([false, true]);
});

test("no id stays no id", () => {
  expect(new IdMap(ranges, undefined).toLayer(0xffff_ffff)).toBe(0xffff_ffff);
});

/** user:: rw-, user:1 r--, group:: r--, group:0 r--, mask, other, as getfattr shows them. */
function acl(user: number, group: number): Uint8Array {
  const entries = [
    [1, 6, 0xffff_ffff],
    [2, 4, user],
    [4, 4, 0xffff_ffff],
    [8, 4, group],
    [16, 4, 0xffff_ffff],
    [32, 4, 0xffff_ffff],
  ] as const;
  const value = new DataView(new ArrayBuffer(4 + entries.length * 8));
  value.setUint32(0, 2, true);
  entries.forEach(([tag, permissions, id], index) => {
    value.setUint16(4 + index * 8, tag, true);
    value.setUint16(6 + index * 8, permissions, true);
    value.setUint32(8 + index * 8, id, true);
  });
  return new Uint8Array(value.buffer);
}

test("an ACL's named users and groups are mapped, and nothing else of it", () => {
  const mapping = { uids: new IdMap(ranges, undefined), gids: new IdMap([{ layer: 0, shown: 5, count: 1 }], undefined) };
  const value = acl(1, 0);
  showAcl(value, mapping);
  expect(value).toEqual(acl(110_000, 5));
  expect(aclForLayer(value, mapping)).toEqual(acl(1, 0));
  expect(value).toEqual(acl(110_000, 5));
  expect(aclForLayer(acl(0, 5), mapping)).toBeUndefined();
});

test("leaves attributes alone that are no ACL", () => {
  const mapping = { uids: new IdMap(ranges, undefined), gids: new IdMap(ranges, undefined) };
  for (const bytes of [[], [2, 0], [3, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0], [2, 0, 0, 0, 2, 0]]) {
    expect(aclForLayer(Uint8Array.from(bytes), mapping)).toEqual(Uint8Array.from(bytes));
  }
});
