// The file of answers on a disk that becomes full in the middle of a line, and in the hands of an editor.
import { appendFileSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { requires, scratch } from "@sluice/testkit";
import { expect, test } from "vitest";
import { AnswerFile } from "./answer-file.js";

const { test: onFullDisk } = requires("CAP_SYS_ADMIN");
const PAGE_BYTES = 4_096;

const identity = { mount: "m", policyId: "p", rule: "r", uid: 1, executable: "/bin/cat", accesses: ["read"], paths: ["a"] } as const;

onFullDisk("a revocation that the disk takes in part alone is a failure, and the next one holds", () => {
  const disk = scratch({ on: "tmpfs", sizeMb: 1 });
  const [path, filler] = [join(disk, "answers"), join(disk, "filler")];
  const file = new AnswerFile(path);
  file.add({ identity, by: "somebody", atMs: 1 });
  const [id = ""] = file.all().keys();
  // The last page has room for ten bytes, and the disk for no other page.
  appendFileSync(path, `${"x".repeat(PAGE_BYTES - 11 - statSync(path).size)}\n`);
  expect(() => writeFileSync(filler, Buffer.alloc(2 << 20))).toThrow("ENOSPC");
  expect(() => file.revoke(id, "somebody")).toThrow(expect.objectContaining({ code: "ENOSPC" }) as Error);
  expect(statSync(path).size).toBe(PAGE_BYTES);
  expect(file.get(id)).toBeDefined();
  rmSync(filler);
  file.revoke(id, "somebody");
  expect(file.get(id)).toBeUndefined();
  file.close();
});

test("no answer holds of a file that an editor has replaced, and none is added to it", () => {
  const path = join(scratch(), "replaced");
  const file = new AnswerFile(path);
  file.add({ identity, by: "somebody", atMs: 1 });
  const [id = ""] = file.all().keys();
  writeFileSync(`${path}.new`, readFileSync(path));
  renameSync(`${path}.new`, path);
  expect(file.get(id)).toBeUndefined();
  expect(() => file.add({ identity, by: "somebody", atMs: 1 })).toThrow(expect.objectContaining({ code: "ENOENT" }) as Error);
  file.close();
});
