// The file of answers on a disk that becomes full in the middle of a line, and in the hands of an editor.
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test, vi } from "vitest";
import { AnswerFile } from "./answer-file.js";

/** Bytes that the disk still takes. */
let room = Number.POSITIVE_INFINITY;
vi.mock("node:fs", async (original) => {
  const fs = await original<typeof import("node:fs")>();
  return { ...fs, writeSync: (fd: number, bytes: Buffer) => fs.writeSync(fd, bytes, 0, Math.min(room, bytes.length)) };
});

const directory = mkdtempSync(join(tmpdir(), "sluice-answers-"));
afterAll(() => rmSync(directory, { recursive: true }));

const identity = { mount: "m", policyId: "p", rule: "r", uid: 1, executable: "/bin/cat", accesses: ["read"], paths: ["a"] } as const;

test("a revocation that the disk takes in part alone is a failure, and the next one holds", () => {
  const file = new AnswerFile(join(directory, "answers"));
  file.add({ identity, by: "somebody", atMs: 1 });
  const [id = ""] = file.all().keys();
  room = 10;
  expect(() => file.revoke(id, "somebody")).toThrow(expect.objectContaining({ code: "ENOSPC" }) as Error);
  expect(file.get(id)).toBeDefined();
  room = Number.POSITIVE_INFINITY;
  file.revoke(id, "somebody");
  expect(file.get(id)).toBeUndefined();
  file.close();
});

test("no answer holds of a file that an editor has replaced, and none is added to it", () => {
  const path = join(directory, "replaced");
  const file = new AnswerFile(path);
  file.add({ identity, by: "somebody", atMs: 1 });
  const [id = ""] = file.all().keys();
  writeFileSync(`${path}.new`, readFileSync(path));
  renameSync(`${path}.new`, path);
  expect(file.get(id)).toBeUndefined();
  expect(() => file.add({ identity, by: "somebody", atMs: 1 })).toThrow(expect.objectContaining({ code: "ENOENT" }) as Error);
  file.close();
});
