// The names of trusted attributes are for callers with CAP_SYS_ADMIN over the machine alone, as with the kernel's overlayfs.
import { join } from "node:path";
import { file, mountKernelOverlay, mountSluice, plant, requires, runScript, scratch } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("CAP_SYS_ADMIN", "/dev/fuse", "command setpriv", "command unshare", "command getfattr");

const layers = () => ({
  lowers: [plant(scratch(), { f: file("x", { xattrs: { "trusted.t": "1", "user.u": "1" } }) })],
  upper: scratch(),
  work: scratch(),
});

const CALLERS = {
  root: [],
  "root without the capability": ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-all"],
  "root of a user namespace": ["unshare", "--user", "--map-root-user"],
  "a user": ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"],
};

async function listed(mountpoint: string): Promise<Record<string, string[]>> {
  const seen: Record<string, string[]> = {};
  for (const [caller, as] of Object.entries(CALLERS)) {
    const { stdout } = await runScript([...as, "getfattr", "-h", "-m", "-", "--absolute-names", join(mountpoint, "f")]);
    seen[caller] = stdout.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  }
  return seen;
}

test("lists trusted attributes only to callers with CAP_SYS_ADMIN, as the kernel does", async () => {
  const kernel = await listed(mountKernelOverlay(layers()));
  expect(kernel.root).toEqual(["trusted.t", "user.u"]);
  expect(kernel["root without the capability"]).toEqual(["user.u"]);
  const mount = await mountSluice(layers());
  expect(await listed(mount.mountpoint)).toEqual(kernel);
  expect((await mount.stop()).code).toBe(0);
});
