import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { check, native } from "@sluice/native";
import { afterAll, expect, test } from "vitest";
import { PolicyFiles } from "./policy-files.js";
import { ServedDisk } from "./served-disk.js";

const home = mkdtempSync(join(tmpdir(), "served-disk-"));
afterAll(() => rmSync(home, { recursive: true }));

function pair(): [number, number] {
  const fds = new Int32Array(2);
  check(native.seqpacketPair(fds), "make a pair of sockets");
  return [fds[0] as number, fds[1] as number];
}

// Both ends are in this thread: a question to the mount would find nobody who answers.
test("a policy file that the mount sends ahead is read without a question", () => {
  const policy = join(home, "policy.yaml");
  writeFileSync(policy, "version: 1\n");
  const [ours, theirs] = pair();
  const files = new PolicyFiles(ours, policy);
  const disk = new ServedDisk(theirs);
  files.sendAhead();
  expect(disk.stat(policy)?.size).toBe(11);
  disk.begin();
  expect(disk.stat(policy)?.size).toBe(11);
  expect(disk.read(policy).toString()).toBe("version: 1\n");
  expect(files.directories()).toEqual([home]);
  disk.close();
  files.close();
});
