/** Puts an overlay together from its layers. */
import { Attr, type KernelPort, S } from "@sluice/vfs";
import type { OverlayConfig } from "./contract/config.js";
import type { OverlayContext } from "./overlay-context.js";
import { HandleTable } from "./handles/handle-table.js";
import { IdleIo } from "./io/idle-io.js";
import { BackingCache } from "./handles/backing-cache.js";
import { Reroutes } from "./open/reroutes.js";
import { DirectoryFds } from "./layer/directory-fds.js";
import type { HostLayer, RealDir } from "./layer/host-layer.js";
import { FileCloses } from "./layer/file-closes.js";
import { closeFd, openDirectory, statFd } from "./layer/system-calls.js";
import { type DirectoryMarks, readDirectoryMarks } from "./marks/directory-marks.js";
import { LockBook } from "./journal/lock-book.js";
import { OverlayJournal } from "./journal/overlay-journal.js";
import type { LockNotes } from "./locks/file-locks.js";
import { LockTable } from "./locks/lock-table.js";
import { markNames } from "./marks/names.js";
import { RecentListings } from "./merge/recent-listings.js";
import { setIno } from "./node/admit.js";
import { CallsUnderWay } from "./node/calls-under-way.js";
import { loadHandles } from "./restore/persisted-handles.js";
import type { Node } from "./node/node.js";
import { KnownPaths } from "./node/known-paths.js";
import { NodeTable } from "./node/node-table.js";
import { OriginClaims } from "./node/origin-claims.js";
import { cleanLinkIndex, openLinkIndex } from "./open-link-index.js";
import { type OpenedScratch, openScratch } from "./open-scratch.js";
import { hasEntries, Purges } from "./operations/purge-directory.js";
import { IdleObjects } from "./restore/idle-objects.js";
import { useOwnerAccess } from "./layer/owner-access.js";
import { restoreOverlay } from "./restore/restore-overlay.js";
import { Overlay } from "./overlay.js";
import { stackLayers } from "./stack-layers.js";

/** Directories that are opened on the way, to be closed if a later step fails. */
interface Opened {
  scratch?: OpenedScratch | undefined;
  index?: RealDir | undefined;
}

/** Takes the descriptors over, also if it throws. @throws FsError if a layer cannot be used (EBUSY: another mount has the scratch directory) */
export function createOverlay(config: OverlayConfig, port: KernelPort): Overlay {
  const opened: Opened = {};
  useOwnerAccess(config.ownerAccess);
  try {
    return assemble(config, port, opened);
  } catch (error) {
    closeAll(config, opened);
    throw error;
  }
}

/** The scratch directory takes the place of the work directory. */
function closeAll({ lowers, dataLowers, upper, work, errorWitness }: OverlayConfig, { scratch, index }: Opened): void {
  const roots = [...lowers, ...dataLowers, upper, scratch === undefined ? work : undefined].map((layer) => layer?.rootFd);
  for (const fd of [...roots, scratch?.dir.fd, index?.fd, errorWitness]) if (fd !== undefined) closeFd(fd);
}

function assemble(config: OverlayConfig, port: KernelPort, opened: Opened): Overlay {
  const { layers, dataLayers, traps } = stackLayers(config);
  const marks = markNames(config.userXattr, config.foreignMarks);
  const takesOver = config.survival?.journal.takenOver === true;
  const fds = new DirectoryFds(config.maxDirectoryFds);
  const closes = new FileCloses();
  const journal = config.survival === undefined ? undefined : new OverlayJournal(config.survival);
  const backings = backingCache({ config, port, journal, closes });
  const perNode = { backings, paths: new KnownPaths(), fds, closes };
  const free = (node: Node): void => release(perNode, node);
  const nodes = new NodeTable(free, journal, () => grew(core));
  const root = nodes.make(S.IFDIR);
  root.lookups = 1;
  root.dirs = layers.map((layer) => layer.root);
  const index = openLinkIndex(config, layers, marks);
  opened.index = index.dir;
  const scratch = scratchOf(config, layers, takesOver);
  opened.scratch = scratch;
  let serial = 0;
  const core: OverlayContext = {
    config,
    port,
    marks,
    layers,
    dataLayers,
    traps,
    scratch: scratch?.dir,
    linkIndex: index.dir,
    noIndex: index.reason,
    purges: new Purges(),
    fds,
    closes,
    nodes,
    calls: new CallsUnderWay(nodes),
    claims: new OriginClaims(),
    paths: perNode.paths,
    idle: new IdleIo(),
    idleObjects: undefined,
    root,
    gate: config.gate,
    events: config.events,
    upper: config.upper === undefined ? undefined : layers[0],
    journal,
    handles: new HandleTable(journal),
    locks: new LockTable(lockNotes(journal)),
    backings,
    recentListings: new RecentListings(config.survival?.journal),
    reroutes: new Reroutes(nodes, journal),
    severalDevices: layers.some((layer) => layer.deviceIndex !== 0),
    scratchAttr: new Attr(),
    copyUps: 0,
    whiteout: { state: "none" },
    staleReopens: 0,
    copyUpJobs: new Map(),
    arrivalWatches: new Set(),
    scratchName: () => `#${(++serial).toString(16)}`,
  };
  begin(core, scratch?.handles ?? "");
  return new Overlay(core);
}

function grew({ config, idleObjects }: OverlayContext): void {
  config.events.grew();
  idleObjects?.look();
}

/** With the state of the server before, or with the handles that an earlier mount left. */
function begin(core: OverlayContext, handles: string): void {
  const { config, journal, nodes, root } = core;
  lookAtDirectories(core);
  // Others change shared lower layers: an object tells what a name led to before.
  if (!config.sharedLower) core.idleObjects = new IdleObjects(core);
  if (config.survival?.journal.takenOver === true) {
    restoreOverlay(core, config.survival);
    return;
  }
  loadHandles(nodes, handles);
  cleanLinkIndex(core);
  journal?.begin(root);
}

function scratchOf({ work, upper, volatile }: OverlayConfig, layers: readonly HostLayer[], goesOn: boolean): OpenedScratch | undefined {
  return work === undefined || upper === undefined ? undefined : openScratch(layers[0] as HostLayer, work, { volatile, goesOn });
}

/** The layers' roots have their traps already. */
function lookAtDirectories(core: OverlayContext): void {
  for (const dir of [core.scratch, core.linkIndex]) if (dir !== undefined) core.traps.set(dir.fd);
  identifyRoot(core);
  lookForLinks(core);
}

/** Nobody reads the whole layer: whatever is in it may have several names. */
function lookForLinks({ upper, linkIndex }: OverlayContext): void {
  if (upper === undefined || linkIndex !== undefined) return;
  const fd = openDirectory(upper.root.fd);
  if (fd < 0 || hasEntries(fd)) upper.extraLinks = Infinity;
  if (fd >= 0) closeFd(fd);
}

interface CacheParts {
  config: OverlayConfig;
  port: KernelPort;
  journal: OverlayJournal | undefined;
  closes: FileCloses;
}

function backingCache({ config, port, journal, closes }: CacheParts): BackingCache {
  return new BackingCache(config.maxCachedBackings, {
    ended: ({ id, fd }, atOnce) => {
      port.closeBacking(id);
      journal?.backingClosed(id);
      if (atOnce) closeFd(fd);
      else closes.close(fd);
    },
    cached: (node, id) => journal?.backingCached(node, id),
  });
}

function lockNotes(journal: OverlayJournal | undefined): ((node: Node) => LockNotes) | undefined {
  if (journal === undefined) return undefined;
  const book = new LockBook(journal.records.locks, (node) => journal.slotOf(node));
  return (node) => book.notesOf(node);
}

/** The root's marks and inode number: the topmost lower's, so that it stays when the upper layer is a new one. */
function identifyRoot(core: OverlayContext): void {
  const attr = core.scratchAttr;
  const marks: DirectoryMarks = { opaque: false, xattrWhiteouts: false, impure: false, redirect: undefined };
  const origin = core.layers.find((layer) => !layer.writable) ?? core.layers[0];
  if (origin !== undefined && statFd(origin.root.fd, attr) === 0) {
    setIno(core, core.root, { lo: attr.words[0] as number, hi: attr.words[1] as number, device: origin.deviceIndex });
  }
  for (const layer of core.layers) {
    if (readDirectoryMarks(core.marks, layer.root.fd, "", marks) < 0) continue;
    layer.root.impure = marks.impure;
    layer.root.xattrWhiteouts = marks.xattrWhiteouts && !layer.writable;
  }
}

/** Frees everything that belongs to a node that is gone. */
function release(perNode: Pick<OverlayContext, "backings" | "paths" | "fds" | "closes">, node: Node): void {
  const { backings, paths, fds, closes } = perNode;
  backings.drop(node);
  paths.drop(node);
  if (node.fd >= 0) closes.close(node.fd);
  node.fd = -1;
  if (node.dirs !== undefined) for (const dir of node.dirs) fds.drop(dir);
}
