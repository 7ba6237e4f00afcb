/**
 * The composition root of the mount service: puts layers, decider, gate, overlay and engine together, serves until it is
 * told to stop or the kernel ends the connection, and takes all of it down again.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Decider } from "@sluice/decision-api";
import { type KeeperLink, LayerError, openInProcess, untilLetGo } from "@sluice/keeper-link";
import { MNT, native, toBytes } from "@sluice/native";
import { createOverlay, type Overlay, type OverlayConfig } from "@sluice/overlay";
import { createLogger, type Logger } from "@sluice/runtime";
import { type Engine, type EngineKind, FsError } from "@sluice/vfs";
import { failed, unfit } from "@sluice/runtime/cli";
import type { MountConfig } from "../config/mount-config.js";
import { Grants } from "../enforcement/grants.js";
import { holdersUnseen } from "../enforcement/holders.js";
import { refuseUnfit, unfitFor } from "../enforcement/policy-fit.js";
import { PolicyGate } from "../enforcement/policy-gate.js";
import { mountAt, readMountTable } from "@sluice/mount-control";
import { preflight } from "../preflight/preflight.js";
import { shownFilesystem } from "../shown/shown-filesystem.js";
import { MountTelemetry } from "../telemetry/mount-telemetry.js";
import { openTracing } from "../tracing/open-tracing.js";
import { TracedFilesystem } from "../tracing/traced-filesystem.js";
import { engineNotice, type StartedEngine, startChosen } from "../setup/choose-engine.js";
import { daemonKeepsLocks } from "../setup/choose-locks.js";
import { refuseImpossibleTransport, withoutUring } from "../setup/choose-transport.js";
import { closeInherited } from "../privilege/close-inherited.js";
import { findMountUsers } from "../shutdown/mount-users.js";
import { leaveToTheNext } from "../keeper/hand-over.js";
import { hardenProcess } from "../privilege/harden-process.js";
import { LayerHold } from "../shutdown/layer-hold.js";
import { mountPlan } from "../keeper/start-keeper.js";
import type { Kept, Life, MountHost } from "./mount-context.js";
import { mountEvents } from "../setup/mount-events.js";
import { mountReporter } from "../status/mount-report.js";
import type { MountParts } from "../status/mount-status.js";
import { openDecider } from "../setup/open-decider.js";
import { openDoors, runDirectoryOf } from "./open-listeners.js";
import { serverShape } from "../privilege/server-privilege.js";
import { StopRequests } from "../shutdown/stop-requests.js";
import { surviveBugs } from "./survive-bugs.js";
import { survivalOf } from "../setup/open-journal.js";
import { type TakenDown, takeDown } from "../shutdown/take-down.js";
import { tellReady } from "./tell-ready.js";
import { UndoStack } from "../shutdown/undo-stack.js";
import { refuseUnseenHolders, watchRevocation } from "../setup/watch-revocation.js";

const READY_MS = 10_000;
const INLINE_COPY_BYTES = 256 << 10;
const MAX_DIRECTORY_FDS = 2048;
const MAX_KEPT_BACKINGS = 4096;
/** Most descriptors are for what is open. */
const KEPT_SHARE = 1 / 8;
const MAX_WRITE_BYTES = 1 << 20;
const NEGATIVE_TTL_MS = 10_000;

function openLink(life: Life): KeeperLink {
  const { kept, undo, hold } = life;
  if (kept !== undefined) {
    undo.push("let go of the keeper", () => kept.link.close());
    hold.hold(kept.link);
    return kept.link;
  }
  try {
    const link = openInProcess(mountPlan(life.config));
    undo.push("let go of the layers", () => link.close());
    hold.hold(link);
    return link;
  } catch (error) {
    if (error instanceof LayerError) throw unfit(error.path, error.problem, error.remedy);
    throw error;
  }
}

function overlayConfig(life: Life, link: KeeperLink, gate: PolicyGate): OverlayConfig {
  const { config } = life;
  return {
    ...link.layers,
    survival: survivalOf(link, config.mountpoint),
    gate,
    events: life.events.overlay,
    userXattr: config.userXattr,
    redirectDir: config.redirectDir,
    metacopy: config.metacopy,
    index: config.index,
    xino: config.xino,
    originUuid: config.uuid !== "off",
    foreignMarks: config.foreignMarks,
    countsLinks: config.foreignMarks && !config.shown.staticNlink,
    volatile: config.volatile,
    coherentReaders: config.coherentReaders,
    sharedLower: config.sharedLower,
    entryTtlMs: config.cacheTtlMs,
    attrTtlMs: config.cacheTtlMs,
    negativeTtlMs: Math.min(config.cacheTtlMs, NEGATIVE_TTL_MS),
    inlineCopyBytes: INLINE_COPY_BYTES,
    maxDirectoryFds: MAX_DIRECTORY_FDS,
    maxKeptBackings: Math.min(MAX_KEPT_BACKINGS, Math.floor(native.nofileLimit().soft * KEPT_SHARE)),
  };
}

/** What the mount stands on, whichever engine serves it. */
interface Ground {
  link: KeeperLink;
  overlay: OverlayConfig;
}

function start(life: Life, kind: EngineKind, { link, overlay }: Ground): { engine: Engine; overlay: Overlay } {
  const { config } = life;
  let made: Overlay | undefined;
  const options = {
    mountpoint: toBytes(config.mountpoint),
    source: toBytes(config.source),
    subtype: "sluice",
    flags: config.mountFlags,
    allowOther: true,
    maxStackDepth: config.maxStackDepth,
    maxWriteBytes: MAX_WRITE_BYTES,
    locks: daemonKeepsLocks(config),
    connect: () => link.connect(),
    transport: config.transport,
    idlePolling: config.idlePolling,
    withoutUring: withoutUring(config, life.kept !== undefined),
    requests: overlay.survival?.journal.requests,
  };
  const engine = kind.start(
    options,
    (port) => {
      made = createOverlay(overlay, port);
      const shown = shownFilesystem(made, config.shown);
      return life.spans === undefined ? shown : new TracedFilesystem(shown, life.spans);
    },
    life.events.engine,
  );
  if (made === undefined) throw failed(config.mountpoint, "the engine made no filesystem", "this is a bug: report it");
  return { engine, overlay: made };
}

function groundOf(life: Life, gate: PolicyGate): Ground {
  const link = openLink(life);
  return { link, overlay: overlayConfig(life, link, gate) };
}

type Tell = (line: string) => void;
const BLIND_VOLATILE =
  "volatile: fsync cannot tell of writeback errors here, since kernel overlayfs cannot be mounted over the work directory";

function startBest(
  life: Life,
  gate: PolicyGate,
  parts: { decider: Decider; tell: Tell },
): StartedEngine<{ engine: Engine; overlay: Overlay }> {
  const { config } = life;
  const { decider, tell } = parts;
  let ground: Ground | undefined;
  const begin = (kind: EngineKind): { engine: Engine; overlay: Overlay } => {
    refuseUnfit(kind, config.decision, decider.capabilities());
    ground ??= groundOf(life, gate);
    return start(life, kind, ground);
  };
  try {
    const chosen = startChosen(config.engine, begin, tell);
    const notice = engineNotice(chosen.kind);
    if (notice !== undefined) tell(notice);
    if (config.volatile && ground?.overlay.errorWitness === undefined) tell(BLIND_VOLATILE);
    return chosen;
  } catch (error) {
    if (error instanceof FsError) throw failed(config.mountpoint, error.message, "run 'sluice doctor' to see what this machine allows");
    throw error;
  }
}

/** The policy may change to one that the engine cannot serve: what is not known about the caller then counts as missing. */
function watchPolicy(kind: EngineKind, decider: Decider, logger: Logger): () => void {
  return decider.onPolicyChange((capabilities) => {
    const problem = unfitFor(kind, capabilities);
    if (problem !== undefined) logger.warn({ revision: capabilities.revision.digest }, `${problem}: they hold where they are stricter`);
  });
}

/** A mount without a server hangs or fails whoever looks at it: the last thing a dying process does is to remove it. */
function neverLeaveMount(life: Life, engine: Engine): void {
  const { mountpoint } = life.config;
  let over = false;
  const ours = mountAt(mountpoint, readMountTable())?.mountId;
  const detach = (): void => {
    // Not another mount that has taken its place.
    if (!over && mountAt(mountpoint, readMountTable())?.mountId === ours) native.umount2(toBytes(mountpoint), MNT.DETACH);
  };
  process.on("exit", detach);
  void engine.ended.then(() => {
    over = true;
    process.off("exit", detach);
  });
}

async function untilReady(life: Life, engine: Engine): Promise<void> {
  const { mountpoint } = life.config;
  const timer = new AbortController();
  const late = sleep(READY_MS, "late" as const, { signal: timer.signal }).catch(() => "late" as const);
  const outcome = await Promise.race([
    engine.ready.then(() => "ready" as const),
    engine.ended.then(() => "ended" as const),
    life.stop.reached(1).then(() => "stopped" as const),
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

async function serve(life: Life, host: MountHost): Promise<void> {
  const { config, logger, undo, stop, telemetry } = life;
  const { path: runDirectory, remove: removeOwn } = runDirectoryOf(life);
  const restored = life.kept?.link.restored === true;
  const traced = await openTracing(config, logger, undo);
  life.spans = traced?.spans;
  const opened = await openDecider(config, {
    start: host.startEmbeddedDecision,
    runDirectory,
    logger,
    undo,
    goesOn: restored,
    describeMount: () => life.describeMount?.(),
  });
  const decider = traced?.decider(opened.decider) ?? opened.decider;
  if (life.kept === undefined) await untilLetGo(config.upper, config.work);
  if (stop.requested) return;
  telemetry.restarts = life.kept?.link.keeper?.restarts ?? 0;
  telemetry.cacheStatus = () => decider.status().cache;
  const grants = new Grants();
  grants.listen((change, { path, mode }) => {
    if (change === "opened") telemetry.activity.opened(path, mode);
  });
  const gate = new PolicyGate({ decider, mount: config.name, grants, events: life.events.gate, spans: life.spans });
  undo.push("stop listening to the policy", () => gate.close());
  const tell: Tell = (line) => void process.stderr.write(`sluice: ${config.mountpoint}: ${line}\n`);
  const begunMs = performance.now();
  const { kind, started } = startBest(life, gate, { decider, tell });
  if (restored) telemetry.restoredInMs = performance.now() - begunMs;
  undo.push("stop watching the policy", watchPolicy(kind, decider, logger));
  const { engine, overlay } = started;
  // In the turn of the event loop that sees the end, however the mount ended: umount(2) by itself waits for nobody.
  void engine.ended.then(() => life.hold.letGo());
  telemetry.idlePolledMs = () => engine.idlePolling.heldMs;
  if (life.kept === undefined) neverLeaveMount(life, engine);
  const revocation = watchRevocation(life, { decider, gate, grants, overlay });
  undo.push("stop judging what is open", () => revocation.close());
  if (life.kept?.link.restored === true && grants.size > 0) revocation.judgeAll();
  let down: Promise<TakenDown> | undefined;
  const unmount = (): Promise<TakenDown> => (down ??= unmountAll(life, engine, tell));
  // A server that cannot take over leaves the mount to the next one.
  let serves = !restored;
  undo.push("unmount", async () => void (serves || stop.requested ? await unmount() : undefined));
  await untilReady(life, engine);
  if (stop.requested) return;
  life.device = mountAt(config.mountpoint, readMountTable())?.device ?? "";
  const { hold, device } = life;
  const known = { kind, engine, overlay, decider, gate, grants, revocation, keeper: life.kept?.link.keeper };
  const parts: MountParts = { ...opened, ...known, config, telemetry, hold, device };
  life.describeMount = mountReporter(parts);
  await openDoors(life, parts, runDirectory);
  undo.push(
    "stop surviving",
    surviveBugs(logger, () => telemetry.anomalies++),
  );
  serves = true;
  if (life.kept !== undefined) leaveToTheNext({ kept: life.kept, engine, logger, removeOwn });
  tellReady(life, parts, host.announce ?? ((line) => process.stdout.write(line)));
  await Promise.race([engine.ended, stop.reached(1)]);
  // Before the doors close: who asked for it by the control socket waits for the answer.
  if ((await unmount()) === "cut off") throw cutOff(config);
}

/** The layers are free when it resolves, whatever else is still to be taken down. */
async function unmountAll({ config, stop, logger, device }: Life, engine: Engine, tell: Tell): Promise<TakenDown> {
  const { mountpoint, graceMs } = config;
  const users = (): Promise<string[]> => findMountUsers(device, mountpoint, readMountTable());
  const unseen = (): string | undefined => (device === "" ? "the mount is not in this namespace" : holdersUnseen());
  const how = await takeDown({ engine, stop, logger, tell, graceMs, users, unseen });
  logger.info({ how }, "unmounted");
  return how;
}

function cutOff({ mountpoint, graceMs }: MountConfig): Error {
  return failed(
    mountpoint,
    `it was still in use ${graceMs / 1000} s after it was told to stop (ETIMEDOUT): unmounted, and its users were cut off`,
    "end them first, or give them longer with --grace",
  );
}

/** Runs a mount to its end. Throws CliError where it never came up. Returns when nothing of it is left. */
export async function runMount(given: MountConfig, host: MountHost): Promise<void> {
  // Refuses what only a keeper makes possible.
  serverShape(given);
  refuseImpossibleTransport(given);
  const config = preflight(given);
  refuseUnseenHolders(config);
  await run({ config, logger: prepare(config, false), kept: undefined }, host);
}

/** What a server can do before it has anything; to be called once. */
export function prepareServer(config: MountConfig): Logger {
  return prepare(config, true);
}

/** Serves a mount that a keeper holds, until it ends or is handed over. The configuration has passed preflight. */
export async function runServer(config: MountConfig, host: MountHost, kept: Kept & { logger: Logger }): Promise<void> {
  await run({ config, logger: kept.logger, kept }, host);
}

function prepare(config: MountConfig, kept: boolean): Logger {
  const logger = createLogger({ name: "mount", level: config.logLevel, file: config.logFile });
  closeInherited();
  hardenProcess(logger, kept);
  return logger;
}

async function run({ config, logger, kept }: Pick<Life, "config" | "logger" | "kept">, host: MountHost): Promise<void> {
  const telemetry = new MountTelemetry();
  const life: Life = {
    config,
    kept,
    logger,
    telemetry,
    undo: new UndoStack(),
    stop: new StopRequests(),
    hold: new LayerHold(),
    device: "",
    events: mountEvents(telemetry, logger),
  };
  // Until it serves, a signal ends a server that joined a keeper: there is nothing to hand over.
  if (kept?.joined !== true) life.stop.listen();
  kept?.link.onStop(() => life.stop.request());
  try {
    await serve(life, host);
  } finally {
    await life.undo.run((what, err) => logger.error({ err }, `cannot ${what}`));
    life.stop.close();
  }
}
