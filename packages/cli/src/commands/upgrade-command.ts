/** `sluice upgrade`: asks the keeper of a mount to replace its server with this program. */
import { lstatSync, readFileSync } from "node:fs";
import type { Command } from "commander";
import { escapeLine, failed, unfit } from "@sluice/runtime/cli";
import { ask, connectControl, connectKeeper, mountAt, type MountStatus, readMountTable, realMountpoint } from "@sluice/mount-control";
import type { MountHost } from "@sluice/service-mount";

const HELP = `
Run this command from the new version. The running server answers the requests that it has read, hands over and ends; files stay
open, locks stay held, and no caller sees an error. If the new version fails to start, the mount rolls back to the old one.
For a host service ('sluice serve --keeper on'), name its socket: all its mounts go over to the new version together.
A server reads the state of every older version, and refuses the state of a newer one with an error.
A mount of 'sluice keeper' has no program to replace: start the next server, which stands by, and stop the running one (SIGTERM).
`;

/** False also if the process cannot be seen. */
function isChildOf(pid: number, parent: number): boolean {
  try {
    return new RegExp(`^PPid:\\s*${parent}$`, "m").test(readFileSync(`/proc/${pid}/status`, "latin1"));
  } catch {
    return false;
  }
}

/** The reason why no keeper can be asked. */
async function noKeeper(mountpoint: string): Promise<Error> {
  const server = await connectControl(mountpoint, undefined);
  const items = server === undefined ? [] : ask(server, { method: "status" }, mountpoint);
  for await (const item of items) {
    const { pid, keeper } = item as MountStatus;
    if (keeper === null) continue;
    if (isChildOf(pid, keeper.pid))
      return unfit(mountpoint, "its keeper holds all mounts of a host service", "run 'sluice upgrade' with the socket of the service");
    const next = "start the next server ('sluice mount --keeper-socket'), which stands by, and stop the running one (SIGTERM)";
    return unfit(mountpoint, "its keeper starts no servers itself", next);
  }
  // A mount that was moved goes by its former place.
  const isThere = server !== undefined || mountAt(realMountpoint(mountpoint), readMountTable()) !== undefined || isSocket(mountpoint);
  if (!isThere)
    return unfit(mountpoint, "no mount, and no socket of a host service, is there (ENOENT)", "'sluice status' lists all mounts");
  return unfit(mountpoint, "no keeper holds this mount (ENOENT)", "unmount, and mount again with --keeper on");
}

/** Does not look at a mount point, whose server may hang. */
function isSocket(path: string): boolean {
  const isMount = mountAt(realMountpoint(path), readMountTable()) !== undefined;
  return !isMount && lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true;
}

async function upgrade(mountpoint: string, host: MountHost): Promise<void> {
  const program = isSocket(mountpoint) ? host.hostProgram : host.serverProgram;
  if (program === undefined) throw failed(mountpoint, "this command has no server to offer", "use 'sluice upgrade'");
  const socket = await connectKeeper(mountpoint);
  if (socket === undefined) throw await noKeeper(mountpoint);
  const request = { method: "upgrade", ...program } as const;
  for await (const _item of ask(socket, request, mountpoint)) process.stdout.write(`${escapeLine(`upgraded ${mountpoint}`)}\n`);
}

export function addUpgradeCommand(program: Command, host: MountHost): void {
  program
    .command("upgrade")
    .description("replace the server of a mount, or of a host service, with this version, without unmounting")
    .argument("<mountpoint>", "the mount point, or the socket of a host service")
    .addHelpText("after", HELP)
    .action((mountpoint: string) => upgrade(mountpoint, host));
}
