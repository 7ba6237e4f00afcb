/** `sluice mount`: its options, and which part of the mount service they start. */
import type { Command } from "commander";
import { wrong } from "@sluice/runtime/cli";
import type { MountArguments } from "@sluice/service-mount/options";
import { IN_BACKGROUND, launchInBackground } from "./launch-background.js";
import { closeInherited, keepLeastPrivilege, type MountHost } from "@sluice/service-mount";
import { type GivenOption, givenOptions, withMountOptions } from "./mount-options.js";

const EXAMPLES = `
Examples:
  sluice mount --lower /srv/base /mnt/view                     read-only view of one layer
  sluice mount --lower /srv/app:/srv/base --upper /srv/changes --work /srv/work --policy policy.yaml /mnt/view
  sluice mount -o lowerdir=/srv/base,upperdir=/srv/changes,workdir=/srv/work /mnt/view
  sluice mount --config /etc/sluice/view.yaml --background --log-file /var/log/sluice.log
  sluice mount --lower /srv/base --decision dns:///decision:50051 --on-outage stale --stale-for 5m /mnt/view
  sluice mount --keeper-socket /run/keeper/socket --decision dns:///decision:50051    the server of a 'sluice keeper'
  sluice mount --host-service auto --lower /srv/base /mnt/view    in the process of a 'sluice serve', if one runs

Write a colon in a layer's name as \\:, as with overlayfs. The command stays in the foreground unless --background is given.
'sluice unmount MOUNTPOINT' unmounts, and so do SIGTERM and SIGINT. If the mount is in use, they wait for --grace and then cut its
users off (exit code 1); a second signal cuts them off at once. With --keeper on the mount survives its server, and SIGHUP restarts
the server without unmounting; 'sluice upgrade MOUNTPOINT' does so with another version.

Exit codes: 0 unmounted, 1 failed while running, 2 the command line or a file is wrong, 3 the machine lacks something
(see 'sluice doctor'), 4 the mount point or a layer is in use or unfit.
`;

export function addMountCommand(program: Command, host: MountHost): void {
  const command = program.command("mount").description("mount layers as one tree and serve it until it is unmounted");
  withMountOptions(command)
    .addHelpText("after", EXAMPLES)
    .action(async (typed: string | undefined, args: MountArguments, command: Command) => {
      if (args.config === undefined) await mount(typed, args, { host, given: givenOptions(command) });
      else await mountFromFile(args.config, { typed, command, host });
    });
}

async function mountFromFile(
  file: string,
  { typed, command, host }: { typed: string | undefined; command: Command; host: MountHost },
): Promise<void> {
  const { applyConfigFile, placed } = await import("./config-file.js");
  const written = applyConfigFile(file, command);
  try {
    await mount(typed ?? written.mountpoint, command.opts<MountArguments>(), { host, given: givenOptions(command) });
  } catch (error) {
    throw placed(error, written);
  }
}

/** The process of the decision service loads while this one does: it is there when this resolves, before this one loads anything else. */
async function startDecisions({ policy, tracingEndpoint }: MountArguments, { readyDecisions }: MountHost): Promise<void> {
  if (policy === undefined || tracingEndpoint !== undefined || readyDecisions === undefined) return;
  // It would inherit them.
  closeInherited();
  await readyDecisions.startNext();
}

async function mount(
  mountpoint: string | undefined,
  args: MountArguments,
  { host, given }: { host: MountHost; given: readonly GivenOption[] },
): Promise<void> {
  if (mountpoint === undefined && args.keeperSocket === undefined)
    throw wrong("mount", "no mount point is given", "name an empty directory");
  if ((args.hostService ?? "off") !== "off" && process.env[IN_BACKGROUND] === undefined) {
    const { mountInService } = await import("./mount-in-service.js");
    if (await mountInService(mountpoint, args, given)) return;
  }
  if (args.background === true && process.env[IN_BACKGROUND] === undefined) {
    const serves = args.keeper === "off" && args.keeperSocket === undefined;
    process.exitCode = await launchInBackground({ logFile: args.logFile, asksService: (args.hostService ?? "off") !== "off", serves });
    return;
  }
  // With neither of the two it was refused above.
  if (args.keeperSocket !== undefined || mountpoint === undefined) {
    const { joinMount } = await import("@sluice/service-mount/join");
    return joinMount(mountpoint, args, host);
  }
  const becomeKeeper = args.keeper === "off" ? undefined : host.becomeKeeper;
  if (becomeKeeper === undefined) return serveHere(mountpoint, args, host);
  const { parseMount } = await import("@sluice/service-mount/options");
  const { startKeeper } = await import("@sluice/service-mount/keeper");
  const { refuseUnreadableProgram } = await import("../become-keeper.js");
  const config = parseMount(mountpoint, args);
  refuseUnreadableProgram(config.user);
  startKeeper(config, becomeKeeper);
}

async function serveHere(mountpoint: string, args: MountArguments, host: MountHost): Promise<void> {
  // Before anything else is loaded: it starts the program again.
  keepLeastPrivilege();
  try {
    await startDecisions(args, host);
    // Loaded only here: gRPC, engine and overlay take longer to load than most commands run.
    const { parseMount } = await import("@sluice/service-mount/options");
    const { runMount } = await import("@sluice/service-mount/serve");
    await runMount(parseMount(mountpoint, args), host);
  } finally {
    // One that no policy has taken.
    await host.readyDecisions?.end();
  }
}
