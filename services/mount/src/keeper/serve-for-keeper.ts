/**
 * The server that a keeper starts, or that joined one. `sluice mount-server` has its mount from the start, and loads little until it has given
 * up its privileges. `sluice user-server` has loaded before the mount of an ordinary user and that user are known, and starts with root's rights.
 */
import { constants } from "node:os";
import { openSocketLink, tellLoaded } from "@sluice/keeper-link";
import { native, POLL, untilReadable } from "@sluice/native";
import type { Logger } from "@sluice/runtime";
import { failed } from "@sluice/runtime/cli";
import { collectGarbage } from "@sluice/runtime/short-pauses";
import { tellStderr } from "@sluice/runtime/stderr";
import type { MountConfig } from "../config/mount-config.js";
import { type HandedSession, handedAs, handedFds, withSessionFiles } from "./handed-session.js";
import { mountPlan, readServerConfig, type ServerConfig } from "./start-keeper.js";
import { embeddedOptions } from "../setup/embedded-options.js";
import { dropOtherCapabilities } from "../privilege/least-privilege.js";
import { STANDARD } from "../privilege/pass-descriptors.js";
import { becomeUserHere, refuseOtherUser, takeUser } from "../privilege/take-user.js";
import type { DecisionUser, MountHost } from "../mount-host.js";

/** As services/keeper starts it: after standard input, output and error. */
const LINK_FD = STANDARD;
/** The first of those that the keeper only passes on: after the link and the configuration. */
export const HANDED_FD = LINK_FD + 2;
/** Of an assignment: the configuration, and the files of a session. */
const MOST_FDS = 5;
/** Of a user with 256 groups. */
const USER_BYTES = 4096;

/** A duplicate with close-on-exec instead of an inherited descriptor: others count as left open by mistake. */
function taken(inherited: number): number {
  const fd = native.dupfd(inherited);
  native.close(inherited);
  return fd;
}

type Given = Pick<ServerConfig, "config" | "runDirectory" | "registerByKeeper" | "joined"> & { session: HandedSession | undefined };

/** Of the process that the keeper has started. */
interface Start {
  keeper: number;
  linkSocket: number;
  /** No other server serves the mount, or has served it. */
  isFirst: boolean;
}

/** The same host, whose decision service starts now: its mount is still to be made. */
function withService(host: MountHost, logger: Logger, config: MountConfig, { runDirectory, session }: Given): MountHost {
  const { decision } = config;
  if (decision.kind !== "embedded" || runDirectory === undefined) return host;
  const started = host.startEmbeddedDecision(embeddedOptions(decision, config, { runDirectory, logger, session, takesOver: false }));
  // The mount gets the error when it asks for the service.
  started.catch(() => undefined);
  return { ...host, startEmbeddedDecision: () => started };
}

async function serve(given: Given, { keeper, linkSocket, isFirst }: Start, host: MountHost): Promise<void> {
  const { runDirectory, registerByKeeper, joined, session } = given;
  const config = session === undefined ? given.config : withSessionFiles(given.config, session);
  if (!joined && native.dieWithParent(constants.signals.SIGKILL, keeper) < 0)
    throw failed(config.mountpoint, "the keeper is gone", "mount again");
  // Everything that takes time and needs nothing comes first: another server may have to end before this one starts.
  const { prepareServer, runServer } = await import("../serve/run-mount.js");
  const logger = prepareServer(config);
  if (!joined) tellLoaded(linkSocket);
  const itsHost = isFirst ? withService(host, logger, config, given) : host;
  await untilReadable(linkSocket, () => {
    if (joined) tellStderr(`sluice: ${config.mountpoint}: another server serves it: standing by\n`);
  });
  const link = openSocketLink(linkSocket, {
    plan: mountPlan(config),
    registerByKeeper,
    onLost: () => process.exit(1),
  });
  await runServer(config, itsHost, { link, runDirectory, joined, logger, session });
  // Whoever runs the session waits for this, and not for the end of the process.
  if (session !== undefined) native.close(session.life);
}

/** `linkFd`: the descriptor of the keeper's link. That of the configuration follows. */
export async function serveForKeeper(host: MountHost, linkFd = LINK_FD): Promise<void> {
  const keeper = process.ppid;
  const configFd = linkFd + 1;
  const { config, capabilities, groups, session, ...given } = readServerConfig(configFd);
  // One that joined has them above, without close-on-exec.
  const descriptors = given.joined ? STANDARD : HANDED_FD + (session === undefined ? 0 : handedFds(session).length);
  if (groups !== undefined) takeUser(config, groups, descriptors);
  dropOtherCapabilities(BigInt(capabilities), descriptors);
  native.close(configFd);
  await serve({ config, session, ...given }, { keeper, linkSocket: taken(linkFd), isFirst: false }, host);
}

/** Resolves when the keeper names the user of the mount to come; to undefined if it is gone. */
async function nextUser(linkSocket: number): Promise<DecisionUser | undefined> {
  const bytes = Buffer.alloc(USER_BYTES);
  await untilReadable(linkSocket);
  const received = native.receiveMessage(linkSocket, bytes, new Int32Array(0), 0);
  return received <= 0 ? undefined : (JSON.parse(bytes.toString("latin1", 0, received & 0xffff)) as DecisionUser);
}

/** Resolves when the keeper assigns a mount; to undefined if it is gone. */
async function assignment(linkSocket: number): Promise<{ server: ServerConfig; session: HandedSession | undefined } | undefined> {
  const fds = new Int32Array(MOST_FDS);
  await untilReadable(linkSocket);
  const received = native.receiveMessage(linkSocket, Buffer.alloc(1), fds, 0);
  if (received <= 0) return undefined;
  const [configFd = -1, ...handed] = fds.subarray(0, (received >>> 16) & 0xffff);
  const server = readServerConfig(configFd);
  native.close(configFd);
  return { server, session: server.session === undefined ? undefined : handedAs(server.session, handed) };
}

/** Becomes the user whom the keeper names, and serves the mount that it assigns then. Returns at once if the keeper ends before. */
export async function serveAssigned(host: MountHost): Promise<void> {
  const keeper = process.ppid;
  const linkSocket = taken(LINK_FD);
  // Its process loads its own code meanwhile.
  await host.readyDecisions?.keepForUser();
  await Promise.all([import("../serve/run-mount.js"), import("../setup/start-filesystem.js"), import("@sluice/decision-client/connect")]);
  const isAwaited = (native.pollNow(linkSocket, POLL.IN, 0) & POLL.IN) !== 0;
  if (!isAwaited && host.readyDecisions !== undefined) {
    const { rehearseServing } = await import("../host/users/rehearse-serving.js");
    // The keeper starts another server in place of one that ends.
    if (!(await rehearseServing(host.readyDecisions))) return;
    collectGarbage();
  }
  const user = await nextUser(linkSocket);
  if (user === undefined) return;
  // While this process is root's: nobody else could name another user.
  await host.readyDecisions?.assign(user);
  // It has done nothing for a user before, and has no rights of root after that.
  becomeUserHere(user, user.groups);
  const assigned = await assignment(linkSocket);
  if (assigned === undefined) return;
  refuseOtherUser(assigned.server.config, user);
  await serve({ ...assigned.server, session: assigned.session }, { keeper, linkSocket, isFirst: true }, host);
}
