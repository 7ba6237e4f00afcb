/** A lower layer on a file system without ACLs, here procfs. */
import { hostname } from "node:os";
import { Actor, layers, mountSluice, requires } from "@sluice/testkit";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

test("a user who does not own a file gets at it by its mode, if its file system has no ACLs", async () => {
  const { upper } = layers({});
  const mount = await mountSluice({ lowers: ["/proc/sys/kernel"], upper });
  const actor = await Actor.start(2001);
  expect(await actor.do("open", mount.path("hostname"), O.RDONLY)).toBeGreaterThan(0);
  expect(await actor.do("contents", mount.path("hostname"))).toBe(`${hostname()}\n`);
  expect(await actor.do("open", mount.path("hostname"), O.WRONLY)).toBe(-Errno.EACCES);
  await actor.stop();
  await mount.stop();
});
