/** The two subjects without a daemon: the tree itself, and the kernel's own overlay. */
import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { runCommand } from "../machine/run-command.js";
import { escapeLayer, type Subject } from "./subject.js";

/** The copy of the tree, bound to the mount point, so that paths are as long as everybody's. */
export const nativeSubject: Subject = {
  name: "native",
  kind: "native",
  about: "the tree itself, on the layers' file system",
  mirrors: true,
  missing: () => undefined,
  start: async ({ source, mountpoint }) => void (await runCommand("mount", ["--bind", source, mountpoint])),
};

export const kernelOverlaySubject: Subject = {
  name: "overlayfs",
  kind: "kernel",
  about: "kernel overlayfs, default options",
  mirrors: false,
  missing: () => (/\boverlay$/m.test(readFileSync("/proc/filesystems", "utf8")) ? undefined : "overlayfs is not in this kernel"),
  start: async ({ lowers, upper, work, mountpoint, layersRoot }) => {
    // Relative, and by mount(2): options fit one page, or 256 bytes each by the newer calls.
    const short = (path: string): string => escapeLayer(relative(layersRoot, path));
    const options = `lowerdir=${lowers.map(short).join(":")},upperdir=${short(upper)},workdir=${short(work)}`;
    const env = { LIBMOUNT_FORCE_MOUNT2: "always" };
    await runCommand("mount", ["-i", "-t", "overlay", "-o", options, "overlay", mountpoint], { cwd: layersRoot, env });
  },
};
