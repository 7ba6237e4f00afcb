/** A lower layer on erofs, which tells statx(2) that each of its files and directories is immutable. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { appendFile, chmod, mkdir, readdir, readFile, rename, unlink } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { mountKernelOverlay, mountSluice, mountsShareProcess, plant, requires, scratch } from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "kernel overlayfs", "kernel erofs", "loop devices");

/** The files `f` ("from erofs") and `d/g` ("x"), by `mkfs.erofs -T0 -U clear --all-root -x-1` and `gzip -9n`. */
const IMAGE = [
  "H4sIAAAAAAACA2NgGAWjYBSMVPDo4dcHIdfOzWYGsnkYVBhYsKhhpKH9IPveOjIzmEL5/4EA2T4VKG3AwARnGwLZ6lC2MZCtBWWbAF2qp6eXkoZhPhODBpL5",
  "TEjy6nB7EOarAtk6cHmwmen43L+kkZGBG8l8ZiT5tKL8XIXUovy0Yi68+hmR9CPHQcVoEh0Fo2AUjIJRMApGwSgYBVQEAE0L0SYAEAAA",
].join("");

function erofs(): string {
  const [image, mountpoint] = [join(scratch(), "image"), scratch()];
  writeFileSync(image, gunzipSync(Buffer.from(IMAGE, "base64")));
  execFileSync("mount", ["-t", "erofs", "-o", "loop,ro", image, mountpoint], { stdio: ["ignore", "ignore", "pipe"] });
  return mountpoint;
}

/** Changes everything that there is. */
async function change(root: string): Promise<void> {
  await appendFile(join(root, "f"), "and more\n");
  expect(await readFile(join(root, "f"), "utf8")).toBe("from erofs\nand more\n");
  await chmod(join(root, "d/g"), 0o600);
  await mkdir(join(root, "d/new"));
  await rename(join(root, "d"), join(root, "moved"));
  expect((await readdir(join(root, "moved"))).sort()).toEqual(["g", "new"]);
  await unlink(join(root, "moved/g"));
  await unlink(join(root, "f"));
  expect(await readdir(root)).toEqual(["moved"]);
}

test("files and directories of a layer on erofs are changed, renamed and removed", async () => {
  const mount = await mountSluice({ lowers: [erofs()], upper: scratch(), policy: "version: 1\ndefault: grant\n" });
  await change(mount.mountpoint);
  expect((await mount.stop()).code).toBe(0);
});

test("files and directories of an overlay over erofs are changed, renamed and removed", async () => {
  const lower = mountKernelOverlay({ lowers: [plant(scratch(), {}), erofs()] });
  const mount = await mountSluice({ lowers: [lower], upper: scratch(), policy: "version: 1\ndefault: grant\n" });
  await change(mount.mountpoint);
  expect((await mount.stop()).code).toBe(0);
});
