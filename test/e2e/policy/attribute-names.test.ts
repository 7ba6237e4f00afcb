/** Rules about extended attributes whose names are not ASCII: a policy has text, and the file system bytes. */
import { writeFileSync } from "node:fs";
import { Actor, eventually, file, layers, mountSluice, mountsShareProcess, requires } from "@sluice/testkit";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const NAMES = ["user.größe", "user.\u{1F512}"];
const bytesOf = (text: string): string => Buffer.from(text).toString("latin1");
const denying = (name: string): string =>
  `version: 1\ndefault: grant\nrules:\n  - { name: r, access: read, when: "resource.xattr['${name}'] == 'x'", effect: deny }\n`;

test("a rule about an attribute holds, in whatever letters its name is written", async () => {
  const marked = Object.fromEntries(NAMES.map((name, at) => [`f${at}`, file("data", { mode: 0o644, xattrs: { [bytesOf(name)]: "x" } })]));
  const { lower, upper } = layers({ lower: marked, upper: { other: file("data", { mode: 0o644 }) } });
  const mount = await mountSluice({ lowers: [lower], upper, policy: denying(NAMES[0] as string) });
  const actor = await Actor.start(1000);
  const open = (name: string): Promise<number> => actor.do("open", mount.path(name), O.RDONLY);
  expect(await open("f0")).toBe(-Errno.EACCES);
  // The answer for one file is not that of another.
  for (const name of ["f1", "other", "other"]) expect(await open(name)).toBeGreaterThan(0);
  writeFileSync(mount.policyFile as string, denying(NAMES[1] as string));
  await eventually("the edit is in force", 30_000, async () => (await open("f1")) === -Errno.EACCES);
  for (const name of ["f0", "other"]) expect(await open(name)).toBeGreaterThan(0);
  await actor.stop();
  await mount.stop();
});
