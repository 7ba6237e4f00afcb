/** A volatile mount writes nothing back by itself, but a sync reports that something could not be written. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanUp, mountKernelOverlay, mountSluice, requires, runScript, scratch } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "kernel overlayfs", "loop devices", "command mkfs.ext4", "command perl");
const IMAGE_MB = 64;
const MB = 1024 * 1024;

/** An ext4 whose image lies in a memory file system with hardly any room: writes to it fail at their writeback. */
function narrowDisk(): { disk: string; fill(): void } {
  const base = scratch({ on: "tmpfs", sizeMb: 16 });
  const [image, disk] = [join(base, "image"), join(base, "disk")];
  writeFileSync(image, "");
  truncateSync(image, IMAGE_MB * MB);
  execFileSync("mkfs.ext4", ["-q", "-F", "-O", "^has_journal", "-E", "lazy_itable_init=1", image]);
  mkdirSync(disk);
  execFileSync("mount", ["-o", "loop,errors=continue", image, disk]);
  cleanUp(() => void spawnSync("umount", ["-l", disk]));
  const fill = (): void => void spawnSync("dd", ["if=/dev/zero", `of=${join(base, "ballast")}`, "bs=1M"], { stdio: "ignore" });
  return { disk, fill };
}

function layersOn(disk: string, name: string): { lowers: string[]; upper: string; work: string } {
  const [lower, upper, work] = ["lower", "upper", "work"].map((part) => join(disk, `${name}-${part}`)) as [string, string, string];
  for (const path of [lower, upper, work]) mkdirSync(path);
  writeFileSync(join(lower, "old"), "old");
  return { lowers: [lower], upper, work };
}

/** fsync of a file, of a directory, and of a file created just then: the errno of each. */
const SYNCS = `
use IO::Handle; use Fcntl;
sub try { my ($path, $flags) = @_; sysopen(my $f, $path, $flags) or return "open " . ($!+0); return $f->sync ? 0 : $!+0 }
print join(" ", try("old", O_RDWR), try("new", O_RDWR | O_CREAT), do { open(my $d, "<", "."); syscall(74, fileno($d)) == 0 ? 0 : $!+0 });`;

async function syncs(mountpoint: string): Promise<string> {
  return (await runScript(["perl", "-e", SYNCS], { cwd: mountpoint })).stdout;
}

test("after a writeback error every fsync on a volatile mount fails, for good, as on kernel overlayfs", async () => {
  const { disk, fill } = narrowDisk();
  const ours = layersOn(disk, "ours");
  const kernel = mountKernelOverlay({ ...layersOn(disk, "kernel"), options: "volatile" });
  const mount = await mountSluice({ ...ours, args: ["-o", "volatile"] });
  expect(readdirSync(join(ours.work, "work"))).toEqual(["incompat"]);
  expect(mount.log()).not.toContain("cannot tell of writeback errors");
  expect([await syncs(kernel), await syncs(mount.mountpoint)]).toEqual(["0 0 0", "0 0 0"]);
  fill();
  // Not through the mount, and the writer has been told already.
  expect((await runScript(["sh", "-c", `head -c 12000000 /dev/urandom > ${disk}/lost; sync -f ${disk}`])).stderr).toContain(
    "error syncing",
  );
  const told = await syncs(kernel);
  expect(told).toMatch(/^([1-9]\d*) \1 \1$/);
  for (let times = 0; times < 2; times++) expect(await syncs(mount.mountpoint)).toBe(told);
});
