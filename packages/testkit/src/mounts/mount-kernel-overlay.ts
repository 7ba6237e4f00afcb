// The kernel's own overlayfs over the same layers: tests compare Sluice with it.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { check, MNT, native } from "@sluice/native";
import { bytes } from "../byte-string.js";
import { cleanUp } from "../clean-up.js";
import { isMountedAnywhere, type MountedSystem, mountsBelow, systemAt } from "./mount-table.js";
import { scratch } from "../trees/scratch.js";

export interface KernelOverlayOptions {
  /** Topmost first. */
  lowers: readonly string[];
  /** Behind `::`. */
  dataLowers?: readonly string[];
  upper?: string;
  work?: string;
  /** Further mount options: "redirect_dir=on,index=off". */
  options?: string;
  /** MS_ flags of mount(2). */
  flags?: number;
}

function escapeLayer(path: string): string {
  return bytes(path).replace(/[\\:,]/g, "\\$&");
}

/** Mounts overlayfs on a new directory and returns it; unmounted when the test ends. @throws NativeError */
export function mountKernelOverlay({ lowers, dataLowers = [], upper, work, options, flags = 0 }: KernelOverlayOptions): string {
  const mountpoint = join(scratch(), "overlay");
  mkdirSync(mountpoint);
  const data = [`lowerdir=${[lowers.map(escapeLayer).join(":"), ...dataLowers.map(escapeLayer)].join("::")}`];
  if (upper !== undefined) data.push(`upperdir=${escapeLayer(upper)}`, `workdir=${escapeLayer(work ?? "")}`);
  if (options) data.push(options);
  check(native.mount("overlay", bytes(mountpoint), "overlay", flags, data.join(",")), `mount overlayfs (${data.join(",")})`);
  cleanUp(() => unmountKernelOverlay(mountpoint));
  return mountpoint;
}

const COPIES_MS = 60_000;
const LOOK_MS = 20;

/** A process that was started in a mount namespace of its own meanwhile has a copy, and the layers stay in use until it ends. */
function untilNoCopyIsLeft(overlay: MountedSystem): void {
  const clock = new Int32Array(new SharedArrayBuffer(4));
  for (const endMs = Date.now() + COPIES_MS; isMountedAnywhere(overlay) && Date.now() < endMs; ) Atomics.wait(clock, 0, 0, LOOK_MS);
}

/** At once: two mounts of one upper layer must never be in force together. Does nothing if it is not mounted. */
export function unmountKernelOverlay(mountpoint: string): void {
  if (mountsBelow(bytes(mountpoint)).length === 0) return;
  const overlay = systemAt(bytes(mountpoint));
  check(native.umount2(bytes(mountpoint), MNT.UMOUNT_NOFOLLOW), `unmount ${mountpoint}`);
  if (overlay !== undefined) untilNoCopyIsLeft(overlay);
}
