/** `sluice upgrade`: asks the keeper of a mount to put this program in the place of its server. */
import type { Command } from "commander";
import { failed, unfit } from "@sluice/runtime/cli";
import { ask, connectControl, connectKeeper, type MountStatus } from "@sluice/mount-control";
import type { MountHost } from "@sluice/service-mount";

const HELP = `
Run it with the version that is to serve from now on. The server that runs answers what it has read, hands over and ends;
files stay open, locks stay held, nobody sees an error. Where the new one does not come to serve, the old one goes on.
A server reads the state of any older version, and refuses that of a newer one with a sentence.
A mount of 'sluice keeper' has no program to replace: start the next server, which stands by, and end the one that serves (SIGTERM).
`;

/** Why nobody can be asked. */
async function noKeeper(mountpoint: string): Promise<Error> {
  const server = await connectControl(mountpoint, undefined);
  const items = server === undefined ? [] : ask(server, { method: "status" }, mountpoint);
  for await (const item of items) {
    if ((item as MountStatus).keeper !== null) {
      const next = "start the next server ('sluice mount --keeper-socket'), which stands by, and end the one that serves (SIGTERM)";
      return unfit(mountpoint, "its keeper takes servers that come by themselves, and starts none", next);
    }
  }
  return unfit(
    mountpoint,
    "no keeper holds this mount (ENOENT)",
    "a mount without one is upgraded by mounting again: use --keeper on then",
  );
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
    .description("put this version in the place of a mount's server, without unmounting")
    .argument("<mountpoint>")
    .addHelpText("after", HELP)
    .action((mountpoint: string) => upgrade(mountpoint, host));
}
