/**
 * Puts an empty upper layer on top of a stack in use; the present one becomes the topmost lower layer. A node is in the upper layer if that is
 * the layer of its directory, so all nodes move down with their layer. Open files, directories, names and numbers stay as they are.
 *
 * Nothing writes in the old layer from then on. `take` makes its private mount read-only, and the kernel refuses that while any descriptor is
 * open for writing there. A change of an object in it needs a copy-up first, as in any lower layer.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Attr, Errno, errnoName, FsError, O } from "@sluice/vfs";
import type { LayerSpec } from "./contract/config.js";
import { furnishDirectory } from "./copy-up/copy-up-directory.js";
import { leaveLinkIndex } from "./leave-link-index.js";
import { HostLayer, type RealDir } from "./layer/host-layer.js";
import { closeFd, openDirectory, statFd, sys } from "./layer/system-calls.js";
import { dropSharedWhiteout } from "./marks/shared-whiteout.js";
import { movedDownLinkKey } from "./node/admit.js";
import { protectionOf, writeProtection } from "./node/protection.js";
import { openLinkIndex } from "./open-link-index.js";
import { openScratch } from "./open-scratch.js";
import { hasEntries } from "./operations/purge-directory.js";
import type { OverlayContext } from "./overlay-context.js";

/** The overlay takes the descriptors over. */
export interface NextUpper {
  /** Empty. */
  readonly upper: LayerSpec;
  readonly work: LayerSpec;
  /** The path of the old upper layer from then on, for people. */
  readonly formerPath: string;
  /** Makes the old upper layer read-only, and notes on disk that this one is in use. 0, or the negative errno: then nothing has changed. */
  take(): Promise<number>;
}

/**
 * "waiting": work in the upper layer is under way, or the close of a large file. "writers": files are open for writing. "busy": so they are for
 * the kernel, by a mapping whose file was closed, or by a reader that shares the descriptor of an earlier writer. Otherwise the reason why it
 * cannot be done.
 */
export type Restacked = "yes" | "waiting" | "writers" | "busy" | { readonly unfit: string };

const attr = new Attr();

function refusal(core: OverlayContext): Exclude<Restacked, "yes"> | undefined {
  const { upper, config } = core;
  if (upper === undefined) return { unfit: "the mount is read-only" };
  if (core.journal !== undefined) return { unfit: "the mount has a keeper" };
  if (config.volatile) return { unfit: "the mount is volatile" };
  if (core.copyUpJobs.size > 0 || core.purges.underWay) return "waiting";
  for (const file of core.handles.allFiles()) {
    if (file.write) return "writers";
    if (config.coherentReaders && file.mode === "passthrough" && file.layer === upper)
      return { unfit: "a reader passes through to the upper layer, and readers have to see later writes" };
  }
  // In a lower layer, names of one file become different files when it is changed by one of them, unless there is an index.
  return core.linkIndex === undefined && upper.extraLinks > 0 ? { unfit: "files may have several names in the upper layer" } : undefined;
}

interface Prepared {
  layer: HostLayer;
  scratch: RealDir;
  index: RealDir | undefined;
  /** Of the work directory. */
  workFd: number;
}

/** Descriptors that are closed if a later step fails. */
class Opened {
  readonly #fds = new Set<number>();

  add(fd: number): void {
    this.#fds.add(fd);
  }
  gone(fd: number): void {
    this.#fds.delete(fd);
  }
  close(): void {
    for (const fd of this.#fds) closeFd(fd);
  }
}

/** All requests wait meanwhile. */
const CLOSES_MS = 1_000;

/** For the kernel, a file is open for writing until the pool has closed it. False if that takes too long. */
async function filesAreClosed({ closes }: OverlayContext): Promise<boolean> {
  const closed = closes.idle();
  if (closed === undefined) return true;
  const over = new AbortController();
  const late = sleep(CLOSES_MS, false, { signal: over.signal }).catch(() => false);
  const inTime = await Promise.race([closed.then(() => true), late]);
  over.abort();
  return inTime;
}

export async function restack(core: OverlayContext, open: () => NextUpper): Promise<Restacked> {
  if (!(await filesAreClosed(core))) return "waiting";
  const refused = refusal(core);
  if (refused !== undefined) return refused;
  if (!(await leaveLinkIndex(core))) return { unfit: "a file has names in a lower layer that lead to the upper one by an index" };
  dropSharedWhiteout(core);
  core.whiteout = { state: "none" };
  const next = open();
  const opened = new Opened();
  for (const { rootFd } of [next.upper, next.work]) opened.add(rootFd);
  try {
    const prepared = prepare(core, next, opened);
    const status = await next.take();
    // The mount may have ended meanwhile.
    const ended = (core.upper as HostLayer).root.fd < 0;
    if (status === 0 && !ended) {
      putOnTop(core, prepared, next.formerPath);
      return "yes";
    }
    opened.close();
    if (ended) return { unfit: "the mount has ended" };
    if (status === -Errno.EBUSY) return "busy";
    return { unfit: `the upper layer cannot be made read-only (${errnoName(-status)})` };
  } catch (error) {
    opened.close();
    if (error instanceof FsError) return { unfit: error.message };
    throw error;
  }
}

/** @throws FsError */
function must(status: number, what: string): number {
  if (status < 0) throw new FsError(-status, what);
  return status;
}

/** All steps that may fail, without a change of the overlay. @throws FsError */
function prepare(core: OverlayContext, { upper, work }: NextUpper, opened: Opened): Prepared {
  const old = core.upper as HostLayer;
  const layer = new HostLayer(0, old.name, upper, true);
  layer.deviceIndex = old.deviceIndex;
  layer.eligibility = old.eligibility;
  // Marks name the old layer as a lower one.
  const below = new HostLayer(
    1,
    old.name,
    { ...old.spec, rootFd: must(sys.dupfd(old.root.fd), "the upper layer cannot be opened") },
    false,
  );
  try {
    below.deviceIndex = old.deviceIndex;
    furnishRoot(core, layer, below);
    for (const next of [layer, below]) next.takeUuidOf(old);
    const index = core.linkIndex === undefined ? undefined : openIndex(core, { upper, work }, [layer, below, ...core.layers.slice(1)]);
    if (index !== undefined) opened.add(index.fd);
    const workFd = must(sys.dupfd(work.rootFd), "the next work directory cannot be opened");
    opened.add(workFd);
    const scratch = openScratch(layer, work, { volatile: false, goesOn: false }).dir;
    opened.gone(work.rootFd);
    opened.add(scratch.fd);
    return { layer, scratch, index, workFd };
  } finally {
    below.close();
  }
}

/** The root of the upper layer is that of the mount. */
function furnishRoot(core: OverlayContext, layer: HostLayer, below: HostLayer): void {
  const target = must(openDirectory(layer.root.fd, O.RDONLY), "the next upper layer cannot be opened");
  try {
    must(statFd(target, attr), "the next upper layer cannot be read");
    const device = [attr.devMajor, attr.devMinor].join();
    must(statFd(below.root.fd, attr), "the upper layer cannot be read");
    if ([attr.devMajor, attr.devMinor].join() !== device) must(-Errno.EXDEV, "the next upper layer lies on another file system");
    if (hasEntries(target)) must(-Errno.ENOTEMPTY, "the next upper layer is not empty");
    must(
      -furnishDirectory(core, { source: below.root.fd, target, layer: below }),
      "the next upper layer cannot be made like the present one",
    );
    const flags = must(protectionOf(core, core.root), "the upper layer cannot be read");
    if (flags !== 0) must(writeProtection(core, target, flags), "the next upper layer cannot be marked");
  } finally {
    closeFd(target);
  }
}

function openIndex(core: OverlayContext, next: Pick<NextUpper, "upper" | "work">, layers: readonly HostLayer[]): RealDir {
  const { dir, reason } = openLinkIndex({ ...core.config, ...next, index: "auto" }, layers, core.marks);
  if (dir === undefined) throw new FsError(Errno.EOPNOTSUPP, reason);
  return dir;
}

/** Nothing in it fails. */
function putOnTop(core: OverlayContext, { layer, scratch, index, workFd }: Prepared, formerPath: string): void {
  const old = core.upper as HostLayer;
  for (const dir of [core.scratch, core.linkIndex]) {
    if (dir === undefined) continue;
    closeFd(dir.fd);
    dir.fd = -1;
  }
  for (const lower of [...core.layers, ...core.dataLayers]) lower.moveDown();
  old.spec.path = formerPath;
  core.layers = [layer, ...core.layers];
  core.upper = layer;
  core.scratch = scratch;
  core.linkIndex = index;
  core.root.dirs = [layer.root, ...(core.root.dirs ?? [])];
  core.nodes.linksMovedDown((ino) => movedDownLinkKey(old, ino));
  // Not before: another directory may get the inode number of one that was not taken.
  for (const fd of [layer.root.fd, scratch.fd, workFd, ...(index === undefined ? [] : [index.fd])]) core.traps.set(fd);
  closeFd(workFd);
}
