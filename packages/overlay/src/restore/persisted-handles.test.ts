import { S } from "@sluice/vfs";
import { expect, test } from "vitest";
import type { ForgottenNode } from "../node/forgotten-nodes.js";
import { decodeHandles, encodeHandles } from "./persisted-handles.js";

const records: ForgottenNode[] = [
  { id: 7, kind: S.IFDIR, inoLo: 1, inoHi: 0, names: [{ parentId: 1, name: "a directory" }] },
  {
    id: 8,
    kind: S.IFREG,
    inoLo: 0xffff_ffff,
    inoHi: 0x8000_0000,
    names: [
      { parentId: 7, name: "\n\xff" },
      { parentId: 1, name: "end" },
    ],
  },
];

test("reads the records that were left", () => {
  expect(decodeHandles([...encodeHandles(9, records)].join(""))).toEqual({ nextId: 9, records });
  expect(decodeHandles([...encodeHandles(2, [])].join(""))).toEqual({ nextId: 2, records: [] });
});

test("a record of many files comes in pieces, so that other mounts get their turns while it is written", () => {
  const many = Array.from({ length: 1000 }, (_, at) => ({ ...(records[0] as ForgottenNode), id: at + 2 }));
  const pieces = [...encodeHandles(2000, many)];
  expect(pieces.length).toBeGreaterThan(4);
  expect(decodeHandles(pieces.join(""))?.records).toEqual(many);
});

test("ignores a record that is cut off, or of another format", () => {
  const text = [...encodeHandles(9, records)].join("");
  for (const broken of ["", text.slice(0, -1), text.slice(0, 30), text.replace("1/9", "2/9"), text.replace("/9", "/x")]) {
    expect(decodeHandles(broken)).toBeUndefined();
  }
});
