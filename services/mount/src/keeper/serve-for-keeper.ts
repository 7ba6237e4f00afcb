/** `sluice mount-server`: the server that a keeper starts, or that joined one. It loads little until it has given up its privileges. */
import { constants } from "node:os";
import { openSocketLink, tellLoaded, untilGreeted } from "@sluice/keeper-link";
import { native } from "@sluice/native";
import { failed } from "@sluice/runtime/cli";
import { mountPlan, readServerConfig } from "./start-keeper.js";
import { dropOtherCapabilities } from "../privilege/least-privilege.js";
import { takeUser } from "../privilege/take-user.js";
import type { MountHost } from "../mount-host.js";

/** As services/keeper starts it: after standard input, output and error. */
const LINK_FD = 3;
const CONFIG_FD = 4;

export async function serveForKeeper(host: MountHost): Promise<void> {
  const keeper = process.ppid;
  const { config, runDirectory, capabilities, registerByKeeper, joined, groups } = readServerConfig(CONFIG_FD);
  if (groups !== undefined) takeUser(config, groups, CONFIG_FD + 1);
  dropOtherCapabilities(BigInt(capabilities), CONFIG_FD + 1);
  native.close(CONFIG_FD);
  if (!joined && native.dieWithParent(constants.signals.SIGKILL, keeper) < 0)
    throw failed(config.mountpoint, "the keeper is gone", "mount again");
  // Everything that takes time and needs nothing comes first: another server may have to end before this one starts.
  const { prepareServer, runServer } = await import("../serve/run-mount.js");
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
}
