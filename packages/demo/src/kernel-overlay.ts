/** The upper layer over the same lower ones, mounted by the kernel's own overlayfs, read-only: a second opinion. */
import { readFileSync } from "node:fs";
import { MNT, MS, native } from "@sluice/native";
import { DemoError } from "./demo-error.js";
import type { Places } from "./demo-paths.js";

const bytes = (path: string): string => Buffer.from(path).toString("latin1");
const escape = (path: string): string => bytes(path).replace(/[\\:,]/g, "\\$&");

export function kernelHasOverlayfs(): boolean {
  return /\boverlay$/m.test(readFileSync("/proc/filesystems", "utf8"));
}

/** Throws DemoError 1 with the errno. */
export function mountKernelOverlay(places: Places): void {
  const lower = [places.lowerData, places.lowerTree].map(escape).join(":");
  const options = `lowerdir=${lower},upperdir=${escape(places.upper)},workdir=${escape(places.kernelWork)},redirect_dir=follow,metacopy=off,index=off`;
  const status = native.mount("overlay", bytes(places.kernelMount), "overlay", MS.RDONLY, options);
  if (status < 0)
    throw new DemoError(1, `${places.kernelMount}: overlayfs does not mount the upper layer (errno ${-status}): dmesg says why`);
}

/** Does nothing if nothing is mounted. */
export function unmountKernelOverlay(places: Places): void {
  native.umount2(bytes(places.kernelMount), MNT.DETACH);
}
