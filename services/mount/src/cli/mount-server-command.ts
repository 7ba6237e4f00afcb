/** `sluice mount-server`: what a keeper starts. Of no use to anybody else, and not in the help. */
import { constants } from "node:os";
import { openSocketLink, tellLoaded, untilGreeted } from "@sluice/keeper-link";
import { native } from "@sluice/native";
import type { Command } from "commander";
import { failed } from "@sluice/runtime/cli";
import { keepOnly } from "../lifecycle/least-privilege.js";
import type { MountHost } from "../lifecycle/life.js";

/** As services/keeper starts it: after standard input, output and error. */
const LINK_FD = 3;
const CONFIG_FD = 4;

export function addMountServerCommand(program: Command, host: MountHost): void {
  program.command("mount-server", { hidden: true }).action(async () => {
    const keeper = process.ppid;
    const { readServerConfig, mountPlan } = await import("../lifecycle/kept-mount.js");
    const { config, runDirectory, capabilities, registerByKeeper, joined } = readServerConfig(CONFIG_FD);
    keepOnly(BigInt(capabilities), CONFIG_FD + 1);
    native.close(CONFIG_FD);
    if (!joined && native.dieWithParent(constants.signals.SIGKILL, keeper) < 0)
      throw failed(config.mountpoint, "the keeper is gone", "mount again");
    // All that takes time and needs nothing: perhaps this one waits for another to end.
    const { prepareServer, runServer } = await import("../lifecycle/run-mount.js");
    const logger = prepareServer(config);
    if (!joined) tellLoaded(LINK_FD);
    await untilGreeted(LINK_FD, () => {
      if (joined) process.stderr.write(`sluice: ${config.mountpoint}: another server serves it: standing by\n`);
    });
    const link = openSocketLink(LINK_FD, {
      plan: mountPlan(config),
      registerByKeeper,
      onLost: () => process.exit(1),
    });
    await runServer(config, host, { link, runDirectory, joined, logger });
  });
}
