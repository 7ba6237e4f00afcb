/** The mount table as text, and the end of mounts. Never touches a mounted tree, so it cannot hang on one. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

function mountpoints(): string[] {
  const lines = readFileSync("/proc/self/mountinfo", "utf8").trim().split("\n");
  return lines.map((line) => line.split(" ")[4] ?? "");
}

export function isMountpoint(path: string): boolean {
  return mountpoints().includes(path);
}

/** Takes every mount at or below `path` away, the last one first. @throws Error naming what stays */
export function unmountBelow(path: string): void {
  const below = mountpoints().filter((point) => point === path || point.startsWith(`${path}/`));
  for (const point of below.reverse()) {
    if (spawnSync("umount", [point], { stdio: "ignore" }).status !== 0) spawnSync("umount", ["-l", point], { stdio: "ignore" });
  }
  const left = mountpoints().filter((point) => point === path || point.startsWith(`${path}/`));
  if (left.length > 0) throw new Error(`${left.join(", ")}: still mounted: unmount by hand`);
}
