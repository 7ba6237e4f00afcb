// A disk that loses all it has not written, as in a crash of the machine, while the session lies on another one.
import { execFileSync } from "node:child_process";
import { copyFileSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { requires, scratch } from "@sluice/testkit";
import { expect } from "vitest";
import { NEEDS, Project, rootsViewsShareProcess } from "../run/sandboxed.js";

rootsViewsShareProcess();

const { test } = requires(...NEEDS, "loop devices", "command mkfs.ext4", "command perl");
const LIMIT_MS = 120_000;

/** EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: nothing that waits to be written reaches the disk any more. */
const SHUT_DOWN = 'open(my $disk, "<", $ARGV[0]) or die; my $flags = pack("L", 2); ioctl($disk, 0x8004587d, $flags) or die';

function loseUnwritten(disk: string): void {
  execFileSync("perl", ["-e", SHUT_DOWN, disk]);
  // Another namespace may still have the mount.
  const [image, copy] = ["image", "copy"].map((name) => join(dirname(disk), name)) as [string, string];
  copyFileSync(image, copy);
  execFileSync("umount", ["-l", disk]);
  execFileSync("mount", ["-o", "loop", copy, disk]);
}

test(
  "an undo that is over is on the disk of the directory, too, before the session forgets the apply",
  async () => {
    const disk = scratch({ on: "ext4-loop", sizeMb: 32 });
    const base = new Project("root", { edited: "old\n", gone: "gone\n" }, disk).base;
    const project = new Project("root", {});
    const sluice = (words: readonly string[]) => project.sluice(words, { cwd: base });
    expect((await sluice(["run", "--name", "one", "--", "sh", "-ec", "echo new > edited; rm gone; echo new > added"])).code).toBe(0);
    expect((await sluice(["apply", "one"])).code).toBe(0);
    execFileSync("sync", ["-f", disk]);
    expect((await sluice(["undo", "one"])).code).toBe(0);
    loseUnwritten(disk);
    expect(readdirSync(base).sort()).toEqual(["edited", "gone"]);
    expect(readFileSync(join(base, "edited"), "utf8")).toBe("old\n");
    expect((await sluice(["diff", "one", "--name-only"])).stdout.trim().split("\n").sort()).toEqual(["added", "edited", "gone"]);
  },
  LIMIT_MS,
);
