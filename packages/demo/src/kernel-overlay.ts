/** The upper layer over the same lower ones, mounted by the kernel's own overlayfs, read-only: a second opinion. */
import { readFileSync } from "node:fs";
import { MNT, MS, native } from "@sluice/native";
import { DemoError } from "./demo-error.js";
import type { DemoPaths } from "./demo-paths.js";

const bytes = (path: string): string => Buffer.from(path).toString("latin1");
const escape = (path: string): string => bytes(path).replace(/[\\:,]/g, "\\$&");

export function kernelHasOverlayfs(): boolean {
  return /\boverlay$/m.test(readFileSync("/proc/filesystems", "utf8"));
}

/** Throws DemoError 1 with the errno. */
export function mountKernelOverlay(paths: DemoPaths): void {
  const lower = [paths.lowerData, paths.lowerTree].map(escape).join(":");
  const options = `lowerdir=${lower},upperdir=${escape(paths.upper)},workdir=${escape(paths.kernelWork)},redirect_dir=follow,metacopy=off,index=off`;
  const status = native.mount("overlay", bytes(paths.kernelMount), "overlay", MS.RDONLY, options);
  if (status < 0)
    throw new DemoError(1, `${paths.kernelMount}: overlayfs does not mount the upper layer (errno ${-status}): dmesg says why`);
}

/** Does nothing if nothing is mounted. */
export function unmountKernelOverlay(paths: DemoPaths): void {
  native.umount2(bytes(paths.kernelMount), MNT.DETACH);
}
