/**
 * Puts the filesystem of a mount together and starts an engine on it: layers, gate, overlay, and the review of open files after a change
 * of policy. From here on the kernel's requests come.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { closeLayers, type KeeperLink, LayerError, openInProcess } from "@sluice/keeper-link";
import { mountAt, mountedMeanwhile, readMountTable } from "@sluice/mount-control";
import { MNT, native, toBytes } from "@sluice/native";
import { createOverlay, type Overlay, type OverlayConfig } from "@sluice/overlay";
import { inInitialNamespace } from "@sluice/runtime";
import { failed, unfit } from "@sluice/runtime/cli";
import { type Engine, type EngineKind, Errno, type Filesystem, FsError, type KernelConnection, type KernelPort } from "@sluice/vfs";
import { Grants } from "../enforcement/grants.js";
import { cannotHide, refuseUnfit, unfitFor } from "../enforcement/policy-fit.js";
import { holdersUnseen, isMappedForWriting } from "../enforcement/revocation/holders.js";
import { PolicyGate } from "../enforcement/policy-gate.js";
import type { Revocation } from "../enforcement/revocation/revocation.js";
import { mountPlan } from "../keeper/start-keeper.js";
import type { MountContext } from "../serve/mount-context.js";
import { shownFilesystem } from "../shown/shown-filesystem.js";
import { tellServices } from "../status/log-items.js";
import { TracedFilesystem } from "../tracing/traced-filesystem.js";
import { engineNotice, type StartedEngine, startChosen } from "./choose-engine.js";
import { daemonHoldsLocks } from "./choose-locks.js";
import { withoutUring } from "./choose-transport.js";
import { type OpenedDecider, takesOver } from "./open-decider.js";
import { openBaseRecord } from "./open-base-record.js";
import { type OpenNext, nextUpper } from "./next-upper.js";
import { openJournal, recordMemory } from "./open-journal.js";
import { watchHiddenNames } from "./watch-hidden-names.js";
import { watchRevocation } from "./watch-revocation.js";
import { WithheldNames } from "./withheld-names.js";
import { writeActivity } from "./write-activity.js";

const INLINE_COPY_BYTES = 256 << 10;
const MAX_DIRECTORY_FDS = 2048;
/** Some 13 MB. */
const MAX_IDLE_OBJECTS = 65_536;
const MAX_CACHED_BACKINGS = 4096;
/** Of the limit of open files: most descriptors are for open files. */
const CACHED_SHARE = 1 / 8;
const DIRECTORY_SHARE = 1 / 4;
/** Below that, caches would rarely have what is looked for. */
const FEWEST_DIRECTORY_FDS = 64;
const MAX_WRITE_BYTES = 1 << 20;
const NEGATIVE_TTL_MS = 10_000;
/** umount(2) with MNT_FORCE aborts the connection and then unmounts. Whoever unmounts in between makes it fail (EINVAL). */
const FORCED_MS = 100;
const BLIND_VOLATILE =
  "volatile: fsync cannot tell of writeback errors here, since kernel overlayfs cannot be mounted over the work directory";

function openLink(context: MountContext): KeeperLink {
  const { keeper, undo, hold } = context;
  if (keeper !== undefined) {
    undo.push("let go of the keeper", () => keeper.link.close());
    hold.hold(keeper.link);
    return keeper.link;
  }
  try {
    const link = openInProcess(mountPlan(context.config));
    undo.push("let go of the layers", () => link.close());
    hold.hold(link);
    return link;
  } catch (error) {
    if (error instanceof LayerError) throw unfit(error.path, error.problem, error.remedy);
    throw error;
  }
}

function overlayConfig(
  context: MountContext,
  link: KeeperLink,
  { gate, baseRecord }: Pick<OverlayConfig, "gate" | "baseRecord">,
): OverlayConfig {
  const { config, owner } = context;
  const limit = native.nofileLimit().soft / owner.places;
  return {
    ...link.layers,
    survival: openJournal(link, context),
    gate,
    events: context.events.overlay,
    baseRecord,
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
    formerUppers: config.formerUppers,
    // The rights of a server for one user end if somebody else takes them away.
    opensAnew: config.user !== undefined,
    ownerAccess: config.user === undefined ? undefined : link.ownerAccess,
    entryTtlMs: config.cacheTtlMs,
    attrTtlMs: config.cacheTtlMs,
    negativeTtlMs: Math.min(config.cacheTtlMs, NEGATIVE_TTL_MS),
    inlineCopyBytes: INLINE_COPY_BYTES,
    recordMemory: recordMemory(context),
    maxIdleObjects: MAX_IDLE_OBJECTS,
    maxDirectoryFds: Math.min(MAX_DIRECTORY_FDS, Math.max(FEWEST_DIRECTORY_FDS, Math.floor(limit * DIRECTORY_SHARE))),
    maxCachedBackings: Math.min(MAX_CACHED_BACKINGS, Math.floor(limit * CACHED_SHARE)),
  };
}

/** Calls `mount` in its turn among the mounts of one mount point. */
type Claim = <T>(mount: () => T) => T;

/** The same for every engine that is tried. */
interface Prepared {
  claim: Claim;
  link: KeeperLink;
  overlay: OverlayConfig;
  /** `taken`: an overlay has their descriptors, and closes them. */
  layers: { taken: boolean };
  openNext: OpenNext | undefined;
  /** Undefined if the first policy is known already. */
  withholds: ((inner: Filesystem) => Filesystem) | undefined;
}

function prepareLayers(context: MountContext, gate: PolicyGate, { firstPolicy, claim }: Claiming): Prepared {
  const link = openLink(context);
  const layers = { taken: false };
  context.undo.push("close the layers", () => {
    if (!layers.taken) closeLayers(link.layers);
  });
  const withholds = (inner: Filesystem): Filesystem => new WithheldNames(inner, () => gate.hidden.unknown, firstPolicy);
  const baseRecord = openBaseRecord(context);
  return {
    ...{
      claim,
      link,
      layers,
      overlay: overlayConfig(context, link, { gate, baseRecord }),
      openNext: nextUpper(context.config, link, baseRecord),
    },
    withholds: gate.hidden.unknown ? withholds : undefined,
  };
}

/** The kernel requires CAP_SYS_ADMIN in the initial user namespace (fs/fuse/backing.c); a keeper that was joined may be in another one. */
function mayRegister({ keeper }: MountContext): boolean {
  return keeper?.joined === true || inInitialNamespace();
}

/** A keeper gives each mount its turn itself. @throws CliError, FsError */
function connect(link: KeeperLink, mountpoint: string): KernelConnection {
  try {
    return link.connect();
  } catch (error) {
    if (error instanceof FsError && error.errno === Errno.EBUSY) throw mountedMeanwhile(mountpoint);
    throw error;
  }
}

/** @throws CliError: another engine could make none of these layers either */
function makeOverlay(config: OverlayConfig, port: KernelPort, mountpoint: string): Overlay {
  try {
    return createOverlay(config, port);
  } catch (error) {
    if (error instanceof FsError) throw unfit(mountpoint, error.message, "choose other layers or options");
    throw error;
  }
}

interface Running {
  engine: Engine;
  overlay: Overlay;
  openNext: OpenNext | undefined;
}

function startEngine(context: MountContext, kind: EngineKind, prepared: Prepared): Running {
  const { config } = context;
  const { claim, link, layers, overlay, openNext, withholds } = prepared;
  let made: Overlay | undefined;
  const options = {
    mountpoint: toBytes(config.mountpoint),
    source: toBytes(config.source),
    subtype: "sluice",
    flags: config.mountFlags,
    allowOther: true,
    maxStackDepth: mayRegister(context) ? config.maxStackDepth : (0 as const),
    maxWriteBytes: MAX_WRITE_BYTES,
    locks: daemonHoldsLocks(config),
    connect: () => connect(link, config.mountpoint),
    inTurn: claim,
    transport: config.transport,
    idlePolling: config.idlePolling,
    withoutUring: withoutUring(config, context.keeper !== undefined),
    requests: overlay.survival?.journal.requests,
  };
  const engine = kind.start(
    options,
    (port) => {
      layers.taken = true;
      made = makeOverlay(overlay, port, config.mountpoint);
      const shown = shownFilesystem(made, config.shown);
      const seen = withholds === undefined ? shown : withholds(shown);
      return context.spans === undefined ? seen : new TracedFilesystem(seen, context.spans);
    },
    context.events.engine,
  );
  if (made === undefined) throw failed(config.mountpoint, "the engine made no filesystem", "this is a bug: report it");
  return { engine, overlay: made, openNext };
}

interface Claiming extends OpenedDecider {
  claim: Claim;
}

/** Starts the chosen engine, or with "auto" the first one that the machine lets mount. @throws CliError */
function startBest(context: MountContext, gate: PolicyGate, opened: Claiming): StartedEngine<Running> {
  const { config, tell } = context;
  let prepared: Prepared | undefined;
  const begin = (kind: EngineKind): Running => {
    refuseUnfit(kind, config.decision, opened.decider.capabilities());
    prepared ??= prepareLayers(context, gate, opened);
    return startEngine(context, kind, prepared);
  };
  try {
    const chosen = startChosen(config.engine, begin, tell);
    const notice = engineNotice(chosen.kind);
    if (notice !== undefined) tell(notice);
    if (config.volatile && prepared?.overlay.errorWitness === undefined) tell(BLIND_VOLATILE);
    return chosen;
  } catch (error) {
    if (error instanceof FsError) throw failed(config.mountpoint, error.message, "run 'sluice doctor' to see what this machine allows");
    throw error;
  }
}

/** The policy may change to one that the engine cannot serve: facts of the caller that the engine cannot tell then count as missing. */
function watchPolicy({ undo, logger }: MountContext, kind: EngineKind, { decider }: OpenedDecider): void {
  const unlisten = decider.onPolicyChange((capabilities) => {
    const problem = unfitFor(kind, capabilities);
    const revision = capabilities.revision.digest;
    if (problem !== undefined) logger.warn({ revision }, `${problem}: only their stricter outcome holds`);
    const shows = cannotHide(kind, capabilities);
    if (shows !== undefined) logger.warn({ revision }, `${shows}: they vanish once it forgets them`);
  });
  undo.push("stop watching the policy", unlisten);
}

/**
 * A mount without a server hangs or fails everybody who looks at it, so a dying process removes its mount last. It also removes one whose
 * connection was aborted: `umount -f` does so, and then fails if the mount is in use.
 */
function neverLeaveMount({ config: { mountpoint }, owner }: MountContext, engine: Engine): void {
  const path = toBytes(mountpoint);
  const ours = mountAt(mountpoint, readMountTable())?.mountId;
  // Not another mount that took its place.
  const inPlace = (): boolean => mountAt(mountpoint, readMountTable())?.mountId === ours;
  const forget = owner.onExit(() => {
    if (inPlace()) native.umount2(path, MNT.DETACH);
  });
  void engine.ended.then(async () => {
    if (inPlace()) {
      await sleep(FORCED_MS);
      if (inPlace()) await native.umount2Async(path, MNT.DETACH);
    }
    forget();
  });
}

function openGate(context: MountContext, { decider }: OpenedDecider): { gate: PolicyGate; grants: Grants } {
  const { config, events, spans, telemetry, undo } = context;
  telemetry.cacheStatus = () => decider.status().cache;
  const grants = new Grants();
  grants.listen((change, { path, mode }) => {
    if (change === "opened") telemetry.activity.opened(path, mode);
  });
  // A server that takes over waits for the policy: names were hidden before it.
  const goesOn = takesOver(context);
  const showsUnjudged = config.onOutage === "mediate" && !goesOn;
  const programOf = (pid: number): string | undefined => telemetry.tally.programOf(pid);
  const findMapped = async (ino: bigint): Promise<boolean> =>
    context.device === "" || holdersUnseen() !== undefined || (await isMappedForWriting(context.device, new Set([ino])));
  const mount = { mount: config.name, labels: config.policyLabels };
  const gate = new PolicyGate({ decider, mount, grants, events: events.gate, spans, showsUnjudged, programOf, findMapped, goesOn });
  telemetry.people = () => gate.people;
  undo.push("stop listening to the policy", () => gate.close());
  const unlisten = telemetry.tally.listen((window) => tellServices(decider, window));
  undo.push("report the last decisions", () => {
    telemetry.tally.flush();
    unlisten();
  });
  writeActivity(context, grants);
  return { gate, grants };
}

export interface ServedFilesystem extends Running, OpenedDecider {
  kind: EngineKind;
  gate: PolicyGate;
  grants: Grants;
  revocation: Revocation;
}

/**
 * `onMounted` is called as soon as there is something to unmount.
 * @throws CliError; then `context.undo`, to which `onMounted` may add steps, has the rest
 */
export function startFilesystem(
  context: MountContext,
  opened: OpenedDecider,
  claim: Claim,
  onMounted: (engine: Engine, overlay: Overlay) => void,
): ServedFilesystem {
  const { keeper, telemetry, undo } = context;
  const restored = keeper?.link.restored === true;
  telemetry.restarts = keeper?.link.keeper?.restarts ?? 0;
  const { gate, grants } = openGate(context, opened);
  const begunMs = performance.now();
  const { kind, started } = startBest(context, gate, { ...opened, claim });
  if (restored) telemetry.restoredInMs = performance.now() - begunMs;
  const { engine, overlay, openNext } = started;
  onMounted(engine, overlay);
  watchPolicy(context, kind, opened);
  // In the turn of the event loop that sees the end, however the mount ended: umount(2) by itself waits for nobody.
  void engine.ended.then(() => context.hold.letGo());
  telemetry.idlePolledMs = () => engine.idlePolling.heldMs;
  if (keeper === undefined) neverLeaveMount(context, engine);
  const revocation = watchRevocation(context, { decider: opened.decider, gate, grants, overlay });
  undo.push("stop judging open files", () => revocation.close());
  watchHiddenNames(context, gate, overlay);
  if (restored && grants.size > 0) revocation.judgeAll();
  return { ...opened, kind, engine, overlay, openNext, gate, grants, revocation };
}
