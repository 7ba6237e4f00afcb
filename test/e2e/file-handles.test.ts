/** An open by file handle (open_by_handle_at(2)) carries no path: it is judged by the names the mount knows the file by. */
import { mountSluice, plant, requires, scratch, scriptOutput } from "@sluice/testkit";
import { Errno } from "@sluice/vfs";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

/** Opens what the paths given name by their handles, in a process of its own; prints the results as JSON. */
const BY_HANDLE = `
import { native } from "@sluice/native";
const [mountpoint, ...paths] = process.argv.slice(1);
const mount = native.openat(-100, mountpoint, 0o200000, 0);
const results = paths.map((path) => {
  const handle = Buffer.alloc(128);
  const both = native.nameToHandleAt(-100, path, 0, handle);
  if (both < 0) return "no handle: " + both;
  const fd = native.openByHandleAt(mount, both >>> 16, handle.subarray(0, both & 0xffff), 0);
  return fd < 0 ? fd : "opened";
});
console.log(JSON.stringify(results));
`;

test("a handle is no way round a rule", async () => {
  const lower = plant(scratch(), { open: "public", "secrets/key": "secret" });
  const policy = "version: 1\ndefault: grant\nrules:\n  - { name: no, path: 'secrets/**', effect: deny }\n";
  const mount = await mountSluice({ lowers: [lower], policy });
  const paths = [mount.path("open"), mount.path("secrets/key")];
  const output = await scriptOutput([process.execPath, "--input-type=module", "-e", BY_HANDLE, mount.mountpoint, ...paths]);
  expect(JSON.parse(output)).toEqual(["opened", -Errno.EACCES]);
  expect((await mount.stop()).code).toBe(0);
});
