/** `sluice upgrade`: asks the keeper of a mount to replace its server with this program. */
import type { Command } from "commander";
import { failed, unfit } from "@sluice/runtime/cli";
import { ask, connectControl, connectKeeper, type MountStatus } from "@sluice/mount-control";
import type { MountHost } from "@sluice/service-mount";

const HELP = `
Run this command from the new version. The running server answers the requests that it has read, hands over and ends; files stay
open, locks stay held, and no caller sees an error. If the new version fails to start, the mount rolls back to the old one.
A server reads the state of every older version, and refuses the state of a newer one with an error.
A mount of 'sluice keeper' has no program to replace: start the next server, which stands by, and stop the running one (SIGTERM).
`;

/** The reason why no keeper can be asked. */
async function noKeeper(mountpoint: string): Promise<Error> {
  const server = await connectControl(mountpoint, undefined);
  const items = server === undefined ? [] : ask(server, { method: "status" }, mountpoint);
  for await (const item of items) {
    if ((item as MountStatus).keeper !== null) {
      const next = "start the next server ('sluice mount --keeper-socket'), which stands by, and stop the running one (SIGTERM)";
      return unfit(mountpoint, "its keeper starts no servers itself", next);
    }
  }
  return unfit(mountpoint, "no keeper holds this mount (ENOENT)", "unmount, and mount again with --keeper on");
}

async function upgrade(mountpoint: string, host: MountHost): Promise<void> {
  if (host.serverProgram === undefined) throw failed(mountpoint, "this command has no server to offer", "use 'sluice upgrade'");
  const socket = await connectKeeper(mountpoint);
  if (socket === undefined) throw await noKeeper(mountpoint);
  const request = { method: "upgrade", ...host.serverProgram } as const;
  for await (const _item of ask(socket, request, mountpoint)) process.stdout.write(`upgraded ${mountpoint}\n`);
}

export function addUpgradeCommand(program: Command, host: MountHost): void {
  program
    .command("upgrade")
    .description("replace a mount's server with this version, without unmounting")
    .argument("<mountpoint>")
    .addHelpText("after", HELP)
    .action((mountpoint: string) => upgrade(mountpoint, host));
}
