import { expect, test } from "vitest";
import { shownOf } from "../shown/shown-given.js";
import type { Shown } from "../shown/shown.js";
import { parseOptionStrings } from "./option-string.js";

function shown(text: string): Shown {
  return shownOf(parseOptionStrings([text]).shown);
}

test.each(["uidmapping=0:1000:1:1:110000:65536", "uidmapping=:0:1000:1:1:110000:65536"])("%s is two ranges", (text) => {
  expect(shown(text).uids).toEqual([
    { layer: 0, shown: 1000, count: 1 },
    { layer: 1, shown: 110_000, count: 65_536 },
  ]);
});

test("groups are mapped by themselves", () => {
  expect(shown("gidmapping=0:5:1")).toMatchObject({ uids: [], gids: [{ layer: 0, shown: 5, count: 1 }] });
});

test("an exact id goes before squash_to_root", () => {
  expect(shown("squash_to_root")).toMatchObject({ squashUid: 0, squashGid: 0 });
  expect(shown("squash_to_uid=7,squash_to_root")).toMatchObject({ squashUid: 7, squashGid: 0 });
});

test.each([
  ["noacl", "no-acl"],
  ["noxattrs", "none"],
  ["noxattrs=1,noacl", "none"],
  ["noxattrs=0", "all"],
  ["", "all"],
])("%j leaves %s attributes", (text, xattrs) => {
  expect(shown(text).xattrs).toBe(xattrs);
});

test.each([
  "uidmapping",
  "uidmapping=",
  "uidmapping=0:1",
  "uidmapping=0:1:x",
  "uidmapping=0:1:0",
  "gidmapping=4294967294:0:2",
  "uidmapping=0:10:5:4:20:1",
  "uidmapping=0:10:5:5:14:1",
  "uidmapping=0:1:1,uidmapping=1:2:1",
  "squash_to_uid=root",
  "squash_to_uid",
  "squash_to_root=1",
  "noxattrs=2",
])("%s is an error", (text) => {
  expect(() => parseOptionStrings([text])).toThrow(/^-o (uid|gid|squash|nox)/);
});
