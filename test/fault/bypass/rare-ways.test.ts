/** Opens that take no ordinary look at the name: by descriptors, handles, mounts, roots and rings. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { file, layers, mountSluice, mountsShareProcess, policyOf, requires, scratch, scriptOutput } from "@sluice/testkit";
import { Errno } from "@sluice/vfs";
import { expect } from "vitest";
import { compileProgram } from "./harness/compile-program.js";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command cc");

const PROGRAM = "#!/bin/true\n";
const policy = policyOf("grant", { name: "secrets", path: ["secrets", "secrets/**"], effect: "deny" });

test("no rare way of opening leads to a denied file, not for root either, and each leads to one that is allowed", async () => {
  const tree = { "secrets/x": file(PROGRAM, { mode: 0o777 }), "public/x": file(PROGRAM, { mode: 0o777 }) };
  const { lower, upper } = layers({ lower: tree });
  const mount = await mountSluice({ lowers: [lower], upper, sharedPolicy: policy });
  const program = compileProgram("rare-ways.c");
  const elsewhere = join(scratch(), "empty");
  writeFileSync(elsewhere, "");
  const results = async (directory: string): Promise<[string, number][]> => {
    const argv = [program, mount.path(`${directory}/x`), mount.path(directory), mount.path("other"), elsewhere];
    const lines = (await scriptOutput(argv)).trim().split("\n");
    return lines.map((line) => line.split(": ")).map(([way, errno]) => [way as string, Number(errno)]);
  };
  const denied = await results("secrets");
  expect(denied).toHaveLength(16);
  expect(denied).toEqual(denied.map(([way]) => [way, Errno.EACCES]));
  const allowed = await results("public");
  expect(allowed).toEqual(allowed.map(([way]) => [way, 0]));
  expect(readFileSync(join(lower, "secrets/x"), "utf8")).toBe(PROGRAM);
  expect((await mount.stop()).code).toBe(0);
});

test("a caller that has left a group is no member by a thread of io_uring from before", async () => {
  const group = 34_567;
  const { lower, upper } = layers({ lower: { x: file("x", { mode: 0o666 }) } });
  const members = { name: "members", path: "x", when: `${group} in subject.groups`, effect: "mediate" } as const;
  const mount = await mountSluice({ lowers: [lower], upper, sharedPolicy: policyOf("deny", members) });
  const output = await scriptOutput([compileProgram("left-group.c"), mount.path("x"), String(group)]);
  expect(output).toBe(`member: 0 0\nleft: ${Errno.EACCES} ${Errno.EACCES}\n`);
  expect((await mount.stop()).code).toBe(0);
});
