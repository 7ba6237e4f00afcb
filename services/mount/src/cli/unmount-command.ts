/** `sluice unmount`: asks the daemon; where there is none, cleans up what it left. */
import { statfsSync } from "node:fs";
import { MNT, native } from "@sluice/native";
import { Errno, errnoName } from "@sluice/vfs";
import type { Command } from "commander";
import { codeOf, failed, unfit } from "../complaint.js";
import { ask, connectControl } from "../control/control-client.js";
import { realMountpoint, removeRunDirectories } from "../control/run-directory.js";
import { toBytes } from "../path-bytes.js";
import { mountAt, readMountTable } from "../preflight/mount-table.js";

const TYPE = "fuse.sluice";

function checkIsSluice(mountpoint: string, real: string): void {
  const mount = mountAt(real, readMountTable());
  if (mount === undefined) throw unfit(mountpoint, "nothing is mounted there (EINVAL)", "'findmnt -t fuse.sluice' lists the Sluice mounts");
  if (mount.type !== TYPE) throw unfit(mountpoint, `it is a mount of type ${mount.type}, not a Sluice mount (EINVAL)`, "use umount");
}

function isStale(real: string): boolean {
  try {
    statfsSync(real);
    return false;
  } catch (error) {
    return codeOf(error) === "ENOTCONN";
  }
}

/** No daemon answers: the kernel alone is left to ask. */
function unmountByKernel(mountpoint: string, real: string): void {
  const stale = isStale(real);
  let status = native.umount2(toBytes(real), stale ? MNT.DETACH : 0);
  if (status === -Errno.EBUSY) {
    process.stderr.write(`sluice: ${mountpoint}: it is in use: detached; it ends when its last user lets go\n`);
    status = native.umount2(toBytes(real), MNT.DETACH);
  }
  if (status < 0)
    throw failed(mountpoint, `it cannot be unmounted (${errnoName(-status)})`, status === -Errno.EPERM ? "run as root" : "see 'findmnt'");
  if (stale) {
    removeRunDirectories(real);
    process.stdout.write(`cleaned up the stale mount ${mountpoint}\n`);
  } else {
    process.stdout.write(`unmounted ${mountpoint}\n`);
  }
}

async function unmount(mountpoint: string, args: { control?: string }): Promise<void> {
  const real = realMountpoint(mountpoint);
  checkIsSluice(mountpoint, real);
  const socket = await connectControl(mountpoint, args.control);
  if (socket === undefined) {
    unmountByKernel(mountpoint, real);
    return;
  }
  for await (const _item of ask(socket, { method: "unmount" }, mountpoint)) process.stdout.write(`unmounted ${mountpoint}\n`);
}

export function addUnmountCommand(program: Command): void {
  program
    .command("unmount")
    .description("drain and unmount; clean up a stale mount that a crash left")
    .argument("<mountpoint>")
    .option("--control <socket>", "control socket, if the mount was given one")
    .action(unmount);
}
