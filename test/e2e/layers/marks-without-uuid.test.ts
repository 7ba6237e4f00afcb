/** Marks name a file system by its UUID. Kernel overlayfs and the mount continue each other's upper layers, on btrfs, too. */
import { appendFileSync, linkSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mountKernelOverlay, mountSluice, requires, type ScratchOptions, scratch, unmountKernelOverlay } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "loop devices", "command mkfs.btrfs", "command mkfs.ext4");

/** A lower file of the names `f` and `g`. */
function plantedOn(on: ScratchOptions["on"]): { lowers: [string]; upper: string; work: string } {
  const base = scratch(on === undefined ? {} : { on });
  const [lower, upper, work] = ["lower", "upper", "work"].map((name) => join(base, name)) as [string, string, string];
  for (const directory of [lower, upper, work]) mkdirSync(directory);
  writeFileSync(join(lower, "f"), "lower");
  linkSync(join(lower, "f"), join(lower, "g"));
  return { lowers: [lower], upper, work };
}

interface Seen {
  names: string[];
  isOneFile: boolean;
}

/** After one more change by the name `f`. */
function changed(mountpoint: string, text: string): Seen {
  const [f, g] = [join(mountpoint, "f"), join(mountpoint, "g")];
  appendFileSync(f, text);
  return { names: [f, g].map((path) => readFileSync(path, "utf8")), isOneFile: statSync(f).ino === statSync(g).ino };
}

const bothAre = (text: string): Seen => ({ names: [text, text], isOneFile: true });

for (const on of ["btrfs-loop", "ext4-loop"] as const) {
  test(`the mount and kernel overlayfs continue each other's index of hard links: ${on}`, async () => {
    const layers = plantedOn(on);
    const byKernel = (text: string): Seen => {
      const mountpoint = mountKernelOverlay({ ...layers, options: "redirect_dir=on,index=on" });
      const seen = changed(mountpoint, text);
      unmountKernelOverlay(mountpoint);
      return seen;
    };
    expect(byKernel(", kernel")).toEqual(bothAre("lower, kernel"));
    const mount = await mountSluice({ ...layers, args: ["-o", "index=on"] });
    expect(changed(mount.mountpoint, ", mount")).toEqual(bothAre("lower, kernel, mount"));
    expect((await mount.stop()).code).toBe(0);
    expect(byKernel(", kernel")).toEqual(bothAre("lower, kernel, mount, kernel"));
  });

  test(`an index of hard links without UUIDs is continued: ${on}`, async () => {
    const layers = plantedOn(on);
    const formerly = await mountSluice({ ...layers, args: ["-o", "uuid=off,index=on"] });
    expect(changed(formerly.mountpoint, ", first")).toEqual(bothAre("lower, first"));
    expect((await formerly.stop()).code).toBe(0);
    const mount = await mountSluice({ ...layers, args: ["-o", "index=on"] });
    expect(changed(mount.mountpoint, ", second")).toEqual(bothAre("lower, first, second"));
    expect((await mount.stop()).code).toBe(0);
  });
}
