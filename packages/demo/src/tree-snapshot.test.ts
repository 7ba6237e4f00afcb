import {
  appendFileSync,
  chmodSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { compareSnapshots, digestSnapshot, primeAccessTimes, takeSnapshot } from "./tree-snapshot.js";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "sluice-demo-snapshot-"));
  mkdirSync(join(root, "sub"));
  writeFileSync(join(root, "sub/file"), "content");
  symlinkSync("file", join(root, "sub/link"));
});
afterEach(() => rmSync(root, { recursive: true }));

const snapshot = () => takeSnapshot(root, { times: "all" });
const changesOf = (change: () => void): string[] => {
  const before = snapshot();
  change();
  return compareSnapshots(before, snapshot());
};

test("an untouched tree compares equal and has the same digest", () => {
  primeAccessTimes(root);
  const before = snapshot();
  expect(Object.keys(before).sort()).toEqual(["", "sub", "sub/file", "sub/link"]);
  expect(compareSnapshots(before, snapshot())).toEqual([]);
  expect(digestSnapshot(snapshot())).toBe(digestSnapshot(before));
});

test.each<[string, () => void, RegExp]>([
  [
    "content of the same size and time",
    () => {
      writeFileSync(join(root, "sub/file"), "CONTENT");
      utimesSync(join(root, "sub/file"), 1, 1);
    },
    /sub\/file: .*content/,
  ],
  ["mode", () => chmodSync(join(root, "sub/file"), 0o600), /sub\/file: .*mode/],
  ["size", () => appendFileSync(join(root, "sub/file"), "x"), /sub\/file: .*size/],
  ["access time", () => utimesSync(join(root, "sub/file"), 5, 7), /sub\/file: .*accessed/],
  ["time of a link", () => lutimesSync(join(root, "sub/link"), 5, 7), /sub\/link: .*modified/],
  ["a new name", () => linkSync(join(root, "sub/file"), join(root, "sub/new")), /sub\/new: only in the second/],
  ["a lost name", () => rmSync(join(root, "sub/link")), /sub\/link: only in the first/],
])("a change of %s is seen", (_, change, line) => {
  expect(changesOf(change).join("\n")).toMatch(line);
});

test("a name that is not UTF-8 is recorded byte by byte", () => {
  writeFileSync(Buffer.from(`${root}/sub/\xff\xfe`, "latin1"), "");
  expect(Object.keys(snapshot())).toContain("sub/\xff\xfe");
});

test("taking a snapshot moves no access time of a file, even one that a plain read would move", () => {
  const accessed = (): number => statSync(join(root, "sub/file")).atimeMs;
  utimesSync(join(root, "sub/file"), 1, 1_000_000);
  snapshot();
  expect(accessed()).toBe(1000);
});

test("primed access times stand still when others read", async () => {
  // Longer than a tick of the clock that timestamps come from.
  await sleep(50);
  primeAccessTimes(root);
  const plainReads = (): void => {
    readFileSync(join(root, "sub/file"));
    readlinkSync(join(root, "sub/link"));
    readdirSync(join(root, "sub"));
  };
  expect(changesOf(plainReads)).toEqual([]);
});

test("a file that could not be read equals any content, and nothing else", () => {
  const before = { file: { kind: "file", mode: "644", content: "unreadable" } };
  expect(compareSnapshots(before, { file: { kind: "file", mode: "644", content: "abc" } })).toEqual([]);
  expect(compareSnapshots(before, { file: { kind: "file", mode: "600", content: "abc" } })).toEqual(["file: mode"]);
});
