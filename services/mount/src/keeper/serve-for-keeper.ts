/** `sluice mount-server`: the server that a keeper starts, or that joined one. It loads little until it has given up its privileges. */
import { constants } from "node:os";
import { openSocketLink, tellLoaded, untilGreeted } from "@sluice/keeper-link";
import { native } from "@sluice/native";
import { failed } from "@sluice/runtime/cli";
import { handedFds, withSessionFiles } from "./handed-session.js";
import { mountPlan, readServerConfig } from "./start-keeper.js";
import { dropOtherCapabilities } from "../privilege/least-privilege.js";
import { takeUser } from "../privilege/take-user.js";
import type { MountHost } from "../mount-host.js";

/** As services/keeper starts it: after standard input, output and error. */
const LINK_FD = 3;
const CONFIG_FD = 4;
/** The first of those that the keeper only passes on. */
export const HANDED_FD = 5;

export async function serveForKeeper(host: MountHost): Promise<void> {
  const keeper = process.ppid;
  const { config: given, runDirectory, capabilities, registerByKeeper, joined, groups, session } = readServerConfig(CONFIG_FD);
  const descriptors = HANDED_FD + (session === undefined ? 0 : handedFds(session).length);
  if (groups !== undefined) takeUser(given, groups, descriptors);
  dropOtherCapabilities(BigInt(capabilities), descriptors);
  const config = session === undefined ? given : withSessionFiles(given, session);
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
  await runServer(config, host, { link, runDirectory, joined, logger, session });
}
