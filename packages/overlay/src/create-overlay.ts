/** Puts an overlay together from its layers. */
import { Attr, Errno, FsError, type KernelPort, O, S } from "@sluice/vfs";
import type { LayerSpec, OverlayConfig } from "./config.js";
import type { Core } from "./core.js";
import { HandleTable } from "./io/handle-table.js";
import { DirectoryFds } from "./layer/directory-fds.js";
import { HostLayer, openName, statFd, sys } from "./layer/host-layer.js";
import { RealDir } from "./layer/real-dir.js";
import { type DirectoryMarks, readDirectoryMarks } from "./marks/directory-marks.js";
import { LockTable } from "./locks/lock-table.js";
import { markNames } from "./marks/names.js";
import { setIno } from "./node/admit.js";
import type { Node } from "./node/node.js";
import { NodeTable } from "./node/node-table.js";
import { cleanLinkIndex, openLinkIndex } from "./open-link-index.js";
import { purgeAll } from "./operations/purge-directory.js";
import { Overlay } from "./overlay.js";

/** flock(2): exclusive, and do not wait. */
const LOCK_EX_NB = 6;

/** @throws FsError where a layer cannot be used (EBUSY: another mount has the scratch directory). Takes the descriptors over. */
export function createOverlay(config: OverlayConfig, port: KernelPort): Overlay {
  const layers = stack(config);
  const marks = markNames(config.userXattr);
  const fds = new DirectoryFds(config.maxDirectoryFds);
  const nodes = new NodeTable((node) => release(fds, node));
  const root = nodes.make(S.IFDIR);
  root.lookups = 1;
  root.dirs = layers.map((layer) => layer.root);
  const index = openLinkIndex(config, layers, marks);
  const scratch = config.work === undefined || config.upper === undefined ? undefined : openScratch(layers[0] as HostLayer, config.work);
  let serial = 0;
  const core: Core = {
    config,
    port,
    marks,
    layers,
    scratch,
    linkIndex: index.dir,
    noIndex: index.reason,
    fds,
    nodes,
    root,
    gate: config.gate,
    events: config.events,
    upper: config.upper === undefined ? undefined : layers[0],
    handles: new HandleTable(),
    locks: new LockTable(),
    severalDevices: layers.some((layer) => layer.deviceIndex !== 0),
    scratchAttr: new Attr(),
    copyUps: 0,
    copyUpJobs: new Set(),
    scratchName: () => `#${(++serial).toString(16)}`,
  };
  identifyRoot(core);
  cleanLinkIndex(core);
  return new Overlay(core);
}

function stack(config: OverlayConfig): HostLayer[] {
  const specs: [string, LayerSpec, boolean][] = config.lowers.map((spec, i) => [`lower${i}`, spec, false]);
  if (config.upper !== undefined) specs.unshift(["upper", config.upper, true]);
  const devices: string[] = [];
  const attr = new Attr();
  return specs.map(([name, spec, writable], index) => {
    const layer = new HostLayer(index, name, spec, writable);
    const status = statFd(spec.rootFd, attr);
    if (status < 0) throw new FsError(-status, `layer ${name}: cannot be read`);
    const device = `${attr.devMajor}:${attr.devMinor}`;
    if (!devices.includes(device)) devices.push(device);
    layer.deviceIndex = devices.indexOf(device);
    return layer;
  });
}

/** The root's marks and inode number: the topmost lower's, so that it stays when the upper layer is a new one. */
function identifyRoot(core: Core): void {
  const attr = core.scratchAttr;
  const marks: DirectoryMarks = { opaque: false, xattrWhiteouts: false, impure: false, redirect: undefined };
  const origin = core.layers.find((layer) => !layer.writable) ?? core.layers[0];
  if (origin !== undefined && statFd(origin.root.fd, attr) === 0) {
    setIno(core, core.root, { lo: attr.words[0] as number, hi: attr.words[1] as number, device: origin.deviceIndex });
  }
  for (const layer of core.layers) {
    if (readDirectoryMarks(core.marks, layer.root.fd, "", marks) < 0) continue;
    layer.root.impure = marks.impure;
    layer.root.xattrWhiteouts = marks.xattrWhiteouts;
  }
}

/**
 * The directory `work` in the workdir, where overlayfs has it too: emptied of what a crash left, and locked as long as
 * this overlay lives, so that no second one uses the same upper layer.
 */
function openScratch(upper: HostLayer, work: LayerSpec): RealDir {
  const made = sys.mkdirat(work.rootFd, "work", 0o700);
  if (made < 0 && made !== -Errno.EEXIST) throw new FsError(-made, `workdir ${work.path}: its scratch directory cannot be made`);
  const fd = openName(work.rootFd, "work", O.RDONLY | O.DIRECTORY, 0);
  if (fd < 0) throw new FsError(-fd, `workdir ${work.path}: its scratch directory cannot be opened`);
  if (sys.flock(fd, LOCK_EX_NB) < 0) {
    sys.close(fd);
    throw new FsError(Errno.EBUSY, `workdir ${work.path}: in use by another mount`);
  }
  const purged = purgeAll(fd);
  if (purged < 0) throw new FsError(-purged, `workdir ${work.path}: cannot be cleared of what an earlier mount left`);
  sys.close(work.rootFd);
  const scratch = new RealDir(upper, undefined, "");
  scratch.fd = fd;
  return scratch;
}

function release(fds: DirectoryFds, node: Node): void {
  if (node.fd >= 0) sys.close(node.fd);
  node.fd = -1;
  for (const dir of node.dirs ?? []) fds.drop(dir);
}
