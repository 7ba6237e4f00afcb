/** Names that a shell, a terminal or Node would take for something else: a command refuses them, or its remedy can be copied. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { requires, runSluice, scratch } from "@sluice/testkit";
import { expect, test } from "vitest";

async function complains(argv: string[], code: number, pattern: RegExp): Promise<void> {
  const result = await runSluice(argv);
  expect(result.stderr).toMatch(pattern);
  expect({ code: result.code, stdout: result.stdout, lines: result.stderr.trimEnd().split("\n").length }).toEqual({
    code,
    stdout: "",
    lines: 1,
  });
}

requires("/dev/fuse", "CAP_SYS_ADMIN").test("a remedy names a path as one word of a shell", async () => {
  const lower = join(scratch(), "lower");
  mkdirSync(lower);
  const mount = ["mount", "--lower", lower];
  await complains([...mount, join(lower, "two words")], 4, /create it: mkdir -p "\/.*\/two words"\n$/);
  await complains([...mount, join(lower, "a;id\x1b")], 4, /create it: mkdir -p \$'\/.*\/a;id\\033'\n$/);
});

test("refuses a group that no process can have, and a name of an option that is not UTF-8", async () => {
  const socket = join(scratch(), "socket");
  await complains(["serve", "--group", "99999999999999999999", "--socket", socket], 2, /--group: there is no group "9+" \(ENOENT\): /);
  // By this character Node replaces a byte.
  await complains(["serve", "--socket", `${socket}\ufffd`], 2, /--socket: the name is not valid UTF-8: reach it by a symbolic link/);
});
