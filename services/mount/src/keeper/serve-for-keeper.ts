/** `sluice mount-server`: the server that a keeper starts, or that joined one. It loads little until it has given up its privileges. */
import { constants } from "node:os";
import { openSocketLink, tellLoaded, untilGreeted } from "@sluice/keeper-link";
import { native } from "@sluice/native";
import { failed } from "@sluice/runtime/cli";
import { handedFds, withSessionFiles } from "./handed-session.js";
import { mountPlan, readServerConfig } from "./start-keeper.js";
import { dropOtherCapabilities } from "../privilege/least-privilege.js";
import { STANDARD } from "../privilege/pass-descriptors.js";
import { takeUser } from "../privilege/take-user.js";
import type { MountHost } from "../mount-host.js";

/** As services/keeper starts it: after standard input, output and error. */
const LINK_FD = STANDARD;
/** The first of those that the keeper only passes on: after the link and the configuration. */
export const HANDED_FD = LINK_FD + 2;

/** A duplicate with close-on-exec instead of an inherited descriptor: others count as left open by mistake. */
function taken(inherited: number): number {
  const fd = native.dupfd(inherited);
  native.close(inherited);
  return fd;
}

/** `linkFd`: the descriptor of the keeper's link. That of the configuration follows. */
export async function serveForKeeper(host: MountHost, linkFd = LINK_FD): Promise<void> {
  const keeper = process.ppid;
  const configFd = linkFd + 1;
  const { config: given, runDirectory, capabilities, registerByKeeper, joined, groups, session } = readServerConfig(configFd);
  // One that joined has them above, without close-on-exec.
  const descriptors = joined ? STANDARD : HANDED_FD + (session === undefined ? 0 : handedFds(session).length);
  if (groups !== undefined) takeUser(given, groups, descriptors);
  dropOtherCapabilities(BigInt(capabilities), descriptors);
  const config = session === undefined ? given : withSessionFiles(given, session);
  native.close(configFd);
  const linkSocket = taken(linkFd);
  if (!joined && native.dieWithParent(constants.signals.SIGKILL, keeper) < 0)
    throw failed(config.mountpoint, "the keeper is gone", "mount again");
  // Everything that takes time and needs nothing comes first: another server may have to end before this one starts.
  const { prepareServer, runServer } = await import("../serve/run-mount.js");
  const logger = prepareServer(config);
  if (!joined) tellLoaded(linkSocket);
  await untilGreeted(linkSocket, () => {
    if (joined) process.stderr.write(`sluice: ${config.mountpoint}: another server serves it: standing by\n`);
  });
  const link = openSocketLink(linkSocket, {
    plan: mountPlan(config),
    registerByKeeper,
    onLost: () => process.exit(1),
  });
  await runServer(config, host, { link, runDirectory, joined, logger, session });
}
