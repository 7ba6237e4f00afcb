/**
 * A mount from its start to its end, phase by phase: checks (preflight/), setup (setup/), requests (serve/), and the end (shutdown/).
 * Whatever a phase opens, it pushes onto the undo stack, which takes it down again however the mount ends.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { untilLetGo } from "@sluice/keeper-link";
import { mountAt, readMountTable, removeDeadDirectoriesLater } from "@sluice/mount-control";
import { startThreads } from "@sluice/native";
import { collectAloneLater, type Logger } from "@sluice/runtime";
import { failed, lacking } from "@sluice/runtime/cli";
import { type Engine, errnoName } from "@sluice/vfs";
import type { MountConfig } from "../config/mount-config.js";
import { leaveToNextServer } from "../keeper/hand-over.js";
import { endWithSession } from "../keeper/handed-session.js";
import type { KeeperSession } from "../keeper/keeper-session.js";
import type { MountHost } from "../mount-host.js";
import { preflight } from "../preflight/preflight.js";
import { serverPrivilege } from "../privilege/server-privilege.js";
import { refuseImpossibleTransport } from "../setup/choose-transport.js";
import { mountEvents } from "../setup/mount-events.js";
import { openDecider, takesOver } from "../setup/open-decider.js";
import type { ServedFilesystem } from "../setup/start-filesystem.js";
import { refuseUnseenHolders } from "../setup/watch-revocation.js";
import { LayerHold } from "../shutdown/layer-hold.js";
import { StopRequests } from "../shutdown/stop-requests.js";
import { UndoStack } from "../shutdown/undo-stack.js";
import { cutOffError, unmountOnce } from "../shutdown/unmount.js";
import { mountReporter } from "../status/mount-report.js";
import type { MountParts } from "../status/mount-status.js";
import { MountTelemetry } from "../telemetry/mount-telemetry.js";
import { kernelQueue, ServerWatch } from "../telemetry/server-watch.js";
import type { MountContext } from "./mount-context.js";
import { type MountOwner, ownProcess, prepareProcess } from "./mount-owner.js";
import { openListeners, runDirectoryOf } from "./open-listeners.js";
import { tellReady } from "./tell-ready.js";

const READY_MS = 10_000;

async function untilReady({ config: { mountpoint }, stop }: MountContext, engine: Engine): Promise<void> {
  const timer = new AbortController();
  const late = sleep(READY_MS, "late" as const, { signal: timer.signal }).catch(() => "late" as const);
  const outcome = await Promise.race([
    engine.ready.then(() => "ready" as const),
    engine.ended.then(() => "ended" as const),
    stop.reached(1).then(() => "stopped" as const),
    late,
  ]);
  timer.abort();
  if (outcome === "ready" || outcome === "stopped") return;
  throw failed(
    mountpoint,
    outcome === "late" ? "the kernel did not shake hands (ETIMEDOUT)" : "the connection ended at once",
    "see 'sluice doctor'",
  );
}

/** Before anything is mounted, since libuv ends a process without them. @throws CliError if there is no room for them */
function haveThreads({ mountpoint }: MountConfig): void {
  const status = startThreads();
  if (status === 0) return;
  const limits = "raise its limit of processes (pids.max of the cgroup, or 'ulimit -u') or of memory ('ulimit -v')";
  throw lacking(mountpoint, `the server has no room for its threads (${errnoName(-status)})`, limits);
}

/** The parts of the mount that the control socket, the consoles and the metrics report on. */
function describe(context: MountContext, filesystem: ServedFilesystem): MountParts {
  const { config, telemetry, hold, keeper } = context;
  context.device = mountAt(config.mountpoint, readMountTable())?.device ?? "";
  const { device } = context;
  telemetry.waiting = () => ({ kernel: kernelQueue(device), daemon: filesystem.engine.inFlight() });
  const watch = new ServerWatch(
    () => telemetry.takeWorstMs(),
    () => kernelQueue(device),
  );
  const parts: MountParts = { ...filesystem, keeper: keeper?.link.keeper, config, telemetry, hold, device, watch };
  context.describeMount = mountReporter(parts);
  return parts;
}

/** Whatever comes of the mount, the keeper's descriptors are closed. */
function takeSession(context: MountContext, keeper: KeeperSession | undefined): KeeperSession | undefined {
  context.keeper = keeper;
  context.undo.push("give back what the keeper passed", () => (context.hold.begun ? undefined : keeper?.link.abandon()));
  return keeper;
}

/** Serves until the kernel ends the connection, or until the mount is told to stop. */
async function serve(context: MountContext, host: MountHost): Promise<void> {
  const { config, logger, owner, stop, telemetry, undo } = context;
  const runDirectory = runDirectoryOf(context);
  const load = () => import("../setup/start-filesystem.js");
  const opened = await openDecider(context, { start: host.startEmbeddedDecision, runDirectory: runDirectory.path, load });
  let inOrder = false;
  undo.push("say that the mount is gone", () => {
    // A decision log is complete with the end of the service.
    if (!inOrder || config.decisionLog !== undefined) return;
    runDirectory.remove();
    owner.gone?.();
  });
  if (context.keeper === undefined) await untilLetGo(config.upper, config.work);
  // A mount that was taken over is there already: it is served until it is unmounted.
  if (stop.requested && !takesOver(context)) return;
  const { startFilesystem } = await load();
  haveThreads(config);
  // Another mount of this process may have begun meanwhile, on a path of this one. If a keeper holds it, it has its layers and its place.
  if (context.keeper === undefined) owner.admit(config);
  const keeper = context.keeper ?? takeSession(context, owner.hold(config));
  // A server that cannot take over leaves the mount to the next one.
  let serves = keeper?.link.restored !== true;
  let unmount: ReturnType<typeof unmountOnce> | undefined;
  const filesystem = startFilesystem(context, opened, runDirectory.claim, (engine, overlay) => {
    const once = unmountOnce(context, engine, () => overlay.status().openFiles);
    unmount = once;
    undo.push("unmount", async () => void (serves || stop.requested ? await once() : undefined));
  });
  owner.begins?.();
  const { engine } = filesystem;
  // A caller who waits for a person is in the way of the unmount.
  void stop.reached(1).then(() => filesystem.gate.people.close());
  await untilReady(context, engine);
  if (stop.requested) return;
  await owner.othersFirst?.();
  const parts = describe(context, filesystem);
  await openListeners(context, parts, runDirectory.path);
  undo.push(
    "stop surviving bugs",
    owner.surviveBugs(logger, () => telemetry.anomalies++),
  );
  serves = true;
  if (keeper !== undefined) leaveToNextServer({ keeper, owner, engine, logger, leaveSockets: runDirectory.leave });
  tellReady(context, parts);
  removeDeadDirectoriesLater();
  collectAloneLater();
  await Promise.race([engine.ended, stop.reached(1)]);
  // Before the listeners close: a caller of the control socket who asked for it waits for the answer.
  if ((await unmount?.()) === "cut off") throw cutOffError(config);
  inOrder = true;
}

/**
 * Runs a mount to its end, in a process of its own or in one of `owner`. Returns when nothing of it is left.
 * @throws CliError if it never came up
 */
export async function runMount(given: MountConfig, host: MountHost, owner = ownProcess(host)): Promise<void> {
  owner.admit(given);
  // Refuses options that only a keeper makes possible.
  serverPrivilege(given);
  refuseImpossibleTransport(given);
  const config = preflight(given, { tell: (mountpoint, line) => owner.tell(mountpoint, line) });
  refuseUnseenHolders(config);
  const log = owner.openLog(config);
  try {
    await run({ config, logger: log.logger, keeper: undefined, owner }, host);
  } finally {
    log.close();
  }
}

/** Does what a server can do before it has anything. Call it once. */
export function prepareServer(config: MountConfig): Logger {
  return prepareProcess(config, true);
}

/** Serves a mount that a keeper holds, until it ends or is handed over. The configuration has passed preflight. */
export async function runServer(
  config: MountConfig,
  host: MountHost,
  { logger, owner = ownProcess(host), ...keeper }: KeeperSession & { logger: Logger; owner?: MountOwner },
): Promise<void> {
  await run({ config, logger, keeper, owner }, host);
}

/** Serves a mount of a process before this one, in one of `owner`. The configuration has passed preflight. */
export async function takeOverMount(
  config: MountConfig,
  host: MountHost,
  given: { keeper: KeeperSession; owner: MountOwner },
): Promise<void> {
  const log = given.owner.openLog(config);
  try {
    await run({ config, logger: log.logger, ...given }, host);
  } finally {
    log.close();
  }
}

type Given = Pick<MountContext, "config" | "logger" | "keeper"> & { owner: MountOwner };

async function run({ config, logger, keeper, owner }: Given, host: MountHost): Promise<void> {
  const telemetry = new MountTelemetry();
  const context: MountContext = {
    config,
    owner,
    keeper,
    logger,
    telemetry,
    undo: new UndoStack(),
    stop: new StopRequests(),
    hold: new LayerHold(),
    device: "",
    events: mountEvents(telemetry, logger),
    tell: (line) => owner.tell(config.mountpoint, line),
  };
  // Until it serves, a signal ends a server that joined a keeper: there is nothing to hand over.
  const unlisten =
    keeper?.joined === true
      ? undefined
      : owner.onStop((abandoned) => (abandoned === true ? context.stop.abandon() : context.stop.request()));
  keeper?.link.onStop(() => context.stop.request());
  if (keeper !== undefined) takeSession(context, keeper);
  endWithSession(context);
  try {
    await serve(context, host);
  } finally {
    await context.undo.run((what, err) => logger.error({ err }, `cannot ${what}`));
    unlisten?.();
  }
}
