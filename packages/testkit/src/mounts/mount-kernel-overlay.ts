// The kernel's own overlayfs over the same layers: tests compare Sluice with it.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { check, MNT, native } from "@sluice/native";
import { bytes } from "../byte-string.js";
import { cleanUp } from "../clean-up.js";
import { mountsBelow } from "./mount-table.js";
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

/** At once: two mounts of one upper layer must never be in force together. Does nothing if it is not mounted. */
export function unmountKernelOverlay(mountpoint: string): void {
  if (mountsBelow(bytes(mountpoint)).length === 0) return;
  check(native.umount2(bytes(mountpoint), MNT.UMOUNT_NOFOLLOW), `unmount ${mountpoint}`);
}
