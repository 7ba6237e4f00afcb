/** A file's registration outlives its last close, but every open is judged, and reaches the current file of its name. */
import { execFileSync } from "node:child_process";
import { readFileSync, renameSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  Actor,
  eventually,
  layers,
  mountSluice,
  mountsShareProcess,
  openDescriptors,
  publicFile,
  requires,
  statusOf,
} from "@sluice/testkit";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");

function read(path: string): string {
  return execFileSync("cat", [path], { encoding: "latin1", timeout: 60_000 });
}

test("judges a closed file again for each caller although it was granted before", async () => {
  const { lower, upper } = layers({ lower: { f: publicFile("content") } });
  const rules =
    "rules:\n  - { name: denied, subject: { uid: [2001] }, effect: deny }\n  - { name: by-us, subject: { uid: [2002] }, effect: mediate }\n";
  const mount = await mountSluice({ lowers: [lower], upper, policy: `version: 1\ndefault: grant\n${rules}` });
  const [denied, mediated] = [await Actor.start(2001), await Actor.start(2002)];
  const path = mount.path("f");
  for (let i = 0; i < 3; i++) {
    expect(read(path)).toBe("content");
    expect(await denied.do("open", path, O.RDONLY)).toBe(-Errno.EACCES);
    const fd = await mediated.do("open", path, O.RDONLY);
    expect((await statusOf(mount)).openFilesByMode).toMatchObject({ mediated: 1 });
    expect(await mediated.do("read", fd, 32, 0)).toBe("content");
    expect(await mediated.do("close", fd)).toBe(0);
  }
  await denied.stop();
  await mediated.stop();
  await mount.stop();
});

test("a name leads to its current file: changed below, renamed over, removed, copied up", async () => {
  const { lower, upper } = layers({
    lower: { low: publicFile("lower") },
    upper: { a: publicFile("a"), b: publicFile("b"), c: publicFile("c") },
  });
  const mount = await mountSluice({ lowers: [lower], upper });
  const names = ["a", "b", "c", "low"];
  const all = (): string => names.map((name) => read(mount.path(name))).join(" ");
  for (let i = 0; i < 2; i++) expect(all()).toBe("a b c lower");
  renameSync(mount.path("a"), mount.path("b"));
  names.shift();
  expect(all()).toBe("a c lower");
  writeFileSync(mount.path("low"), "upper");
  expect(all()).toBe("a c upper");
  expect(readFileSync(join(lower, "low"), "latin1")).toBe("lower");
  // Another file takes the name without the mount's knowledge: the registration does not belong to it.
  writeFileSync(join(upper, "new"), "C");
  renameSync(join(upper, "new"), join(upper, "c"));
  expect(all()).toBe("a C upper");
  await mount.stop();
});

test("a removed file is not held", async () => {
  const { lower, upper } = layers({ upper: { gone: publicFile("content"), kept: publicFile("content") } });
  const mount = await mountSluice({ lowers: [lower], upper });
  for (const name of ["gone", "kept"]) expect(read(mount.path(name))).toBe("content");
  const held = (): string => openDescriptors(mount.serverPid).join("\n");
  await eventually("both are kept", 30_000, () => held().includes("gone") && held().includes("kept"));
  unlinkSync(mount.path("gone"));
  await eventually("the removed file is closed", 30_000, () => !held().includes("gone") && held().includes("kept"));
  await mount.stop();
});
