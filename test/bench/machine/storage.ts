/** The file system that all layers of a run lie on: a tmpfs, or an ext4 on a loop image. Made and removed by the run. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { freemem, tmpdir } from "node:os";
import { join } from "node:path";
import type { CleanUp } from "../clean-up.js";
import { unmountBelow } from "./mount-table.js";
import { runCommand } from "./run-command.js";

export type StorageKind = "tmpfs" | "ext4";

export interface Storage {
  kind: StorageKind;
  /** The directory of the layers. */
  layers: string;
  /** On the machine's own file system: logs, sources of archives and clones, the load generator. */
  outside: string;
  /** The directory of the mount points: no part of it lies within a layer. */
  mounts: string;
  /** Before the end of the run; nothing may be mounted on it any more. */
  remove(): Promise<void>;
}

const EXT4_BYTES = 24 * 1024 ** 3;

async function mountLayers(kind: StorageKind, outside: string, layers: string): Promise<void> {
  if (kind === "tmpfs") {
    // nr_inodes=0: as many as fit; trees of a million files are part of it.
    const options = `size=${Math.floor(freemem() * 0.7)},mode=755,nr_inodes=0`;
    await runCommand("mount", ["-t", "tmpfs", "-o", options, "sluice-bench", layers]);
    return;
  }
  const image = join(outside, "layers.img");
  writeFileSync(image, "");
  truncateSync(image, EXT4_BYTES);
  await runCommand("mkfs.ext4", ["-q", "-F", "-i", "8192", "-E", "lazy_itable_init=1,lazy_journal_init=1", image]);
  // mount(8) sets the loop device up to vanish with the mount.
  await runCommand("mount", ["-o", "loop,noatime", image, layers]);
}

export async function makeStorage(kind: StorageKind, cleanUp: CleanUp): Promise<Storage> {
  const outside = mkdtempSync(join(tmpdir(), "sluice-bench-"));
  // A decision service without privilege reads its policy below it.
  chmodSync(outside, 0o755);
  const remove = cleanUp.add(() => {
    // Removing a directory must never empty somebody's mount.
    unmountBelow(outside);
    rmSync(outside, { recursive: true, force: true });
  });
  const [layers, mounts] = [join(outside, "layers"), join(outside, "mounts")];
  mkdirSync(layers);
  mkdirSync(mounts);
  await mountLayers(kind, outside, layers);
  return { kind, layers, outside, mounts, remove };
}
