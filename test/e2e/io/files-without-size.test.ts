/** Files that say that they are empty and have content, as in procfs: by each way that bytes flow they read as on their own file system. */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { Actor, eventually, layers, mountSluice, requires, scratch, statusOf } from "@sluice/testkit";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const LOWER = "/proc/sys/kernel";
const POLICY = `version: 1
default: grant
rules:
  - { name: audited, path: ostype, effect: mediate, obligations: { audit: each-io } }
  - { name: slow, path: osrelease, effect: mediate, obligations: { readBytesPerSecond: 4 } }
  - { name: mediated, path: version, effect: mediate }
  - { name: denied, path: "random/**", effect: deny }
`;

async function staged(policy = POLICY, args: string[] = []) {
  const { upper } = layers({});
  const mount = await mountSluice({ lowers: [LOWER], upper, policy, args });
  return { mount, actor: await Actor.start() };
}

test("a file without a size has its content if it is granted, mediated or audited", async () => {
  const logFile = join(scratch(), "log");
  const { mount, actor } = await staged(POLICY, ["--log-file", logFile]);
  for (const name of ["hostname", "ostype", "version"]) {
    expect(await actor.do("stat", mount.path(name))).toMatchObject({ size: "0" });
    const content = readFileSync(join(LOWER, name), "utf8");
    // Opens that are there already change the mode of later ones.
    const fds = [await actor.do("open", mount.path(name), O.RDONLY), await actor.do("open", mount.path(name), O.RDONLY)];
    for (const fd of fds) expect(await actor.do("read", fd, 4_000, 0)).toBe(content);
    expect(await actor.do("read", fds[0], 4_000, content.length)).toBe("");
    expect(await actor.do("read", fds[0], 4, 1)).toBe(content.slice(1, 5));
  }
  expect(await actor.do("contents", mount.path("hostname"))).toBe(`${hostname()}\n`);
  expect(await actor.do("open", mount.path("random/uuid"), O.RDONLY)).toBe(-Errno.EACCES);
  await actor.stop();
  await mount.stop();
  const told = readFileSync(logFile, "utf8")
    .split("\n")
    .filter((line) => line.includes('"audit":true'))
    .map((line) => JSON.parse(line) as { path: string; bytes: number });
  const length = readFileSync(join(LOWER, "ostype"), "utf8").length;
  // A reader that gets less than it has room for asks once more.
  const read = told.filter(({ bytes }) => bytes > 0).map(({ path, bytes }) => `${path} ${bytes}`);
  expect(read).toEqual([length, length, 4].map((bytes) => `ostype ${bytes}`));
});

test("a rate counts the bytes of a file without a size", async () => {
  const { mount, actor } = await staged();
  const fd = await actor.do("open", mount.path("osrelease"), O.RDONLY);
  expect(await actor.do("read", fd, 4, 0)).toBe(readFileSync(join(LOWER, "osrelease"), "utf8").slice(0, 4));
  const waits = actor.do("read", fd, 4_000, 0);
  await eventually("it waits", 30_000, async () => (await statusOf(mount)).engine.inFlight > 0);
  actor.kill("SIGKILL");
  await actor.exit;
  await waits;
  await mount.stop();
});

test("a mediated file without a size has its content after a granted open, and the other way round", async () => {
  const { mount, actor } = await staged(
    "version: 1\ndefault: grant\nrules:\n  - { name: other, path: hostname, subject: { uid: 2001 }, effect: mediate }\n",
  );
  const other = await Actor.start(2001);
  const name = mount.path("hostname");
  for (const order of [
    [actor, other],
    [other, actor],
  ]) {
    const fds: [Actor, number][] = [];
    for (const by of order) fds.push([by, await by.do("open", name, O.RDONLY)]);
    expect(fds.filter(([, fd]) => fd < 0)).toEqual([]);
    for (const [by, fd] of fds) expect(await by.do("read", fd, 4_000, 0)).toBe(`${hostname()}\n`);
    for (const [by, fd] of fds) await by.do("close", fd);
  }
  for (const each of [actor, other]) await each.stop();
  await mount.stop();
});

for (const metacopy of ["off", "on"])
  test(`a copy-up takes along the content of a file without a size (metacopy=${metacopy})`, async () => {
    const { mount, actor } = await staged("version: 1\ndefault: mediate\n", ["-o", `metacopy=${metacopy}`]);
    for (const name of ["hostname", "ostype"]) {
      const content = readFileSync(join(LOWER, name), "utf8");
      expect(await actor.do("chmod", mount.path(name), 0o600)).toBe(0);
      expect(await actor.do("contents", mount.path(name))).toBe(content);
      const fd = await actor.do("open", mount.path(name), O.WRONLY | O.APPEND);
      expect(await actor.do("append", fd, "more")).toBe(4);
      expect(await actor.do("contents", mount.path(name))).toBe(`${content}more`);
    }
    await actor.stop();
    await mount.stop();
  });
