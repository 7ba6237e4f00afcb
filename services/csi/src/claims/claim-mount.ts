/**
 * Finds the place at which the kubelet mounted a PersistentVolume for one pod, and binds it to a place of the driver's own. Only the
 * directory of that pod is searched. While the bind mount is there, the kubelet does not detach the device (it looks for other mounts of the
 * same root: k8s.io/mount-utils GetMountRefs), so the mount of the volume ends before its claim is taken away.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type MountRow, readMountTable } from "@sluice/mount-control";
import { MS, native, openDirectoryBeneath, openRealDirectory } from "@sluice/native";
import { type CsiError, invalid, unavailable, unready } from "../csi-error.js";

const O_PATH = 0o10000000;
const ENOENT = 2;
/** Plug-ins of the kubelet that mount in the pod's directory. A hostPath is not mounted there, and other kinds are no claims. */
const IN_TREE = ["local-volume", "nfs", "iscsi", "fc"];
const bytesOf = (path: string): string => Buffer.from(path).toString("latin1");

interface PodClaim {
  /** As the pod names it, for messages. */
  claim: string;
  /** The name of its PersistentVolume. */
  volume: string;
  podUid: string;
}

/** Below the kubelet's directory (pkg/volume/csi/csi_mounter.go GetPath, pkg/kubelet/kubelet_getters.go getPodVolumeDir). */
function placesOf({ podUid, volume }: PodClaim): string[] {
  const volumes = `pods/${podUid}/volumes`;
  return [`${volumes}/kubernetes.io~csi/${volume}/mount`, ...IN_TREE.map((plugin) => `${volumes}/kubernetes.io~${plugin}/${volume}`)];
}

function mountOf(fd: number, table: readonly MountRow[]): MountRow | undefined {
  const id = Number(/^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1]);
  return table.find(({ mountId }) => mountId === id);
}

/** The descriptor belongs to the caller. @throws CsiError */
function openClaim(wanted: PodClaim, kubeletDirectory: string): { fd: number; mount: MountRow } {
  const kubelet = openRealDirectory(bytesOf(kubeletDirectory), O_PATH);
  if (kubelet < 0) throw unready(`${kubeletDirectory}: the directory of the kubelet cannot be opened (errno ${-kubelet})`);
  try {
    for (const place of placesOf(wanted)) {
      const fd = openDirectoryBeneath(kubelet, bytesOf(place), O_PATH);
      if (fd === -ENOENT) continue;
      if (fd < 0) throw invalid(`claim ${wanted.claim}: ${place} is no directory without symbolic links (errno ${-fd})`);
      const mount = mountOf(fd, readMountTable());
      // The kubelet makes the directory before it mounts there.
      if (mount?.mountpoint === join(kubeletDirectory, place)) return { fd, mount };
      native.close(fd);
    }
  } finally {
    native.close(kubelet);
  }
  const remedy = "list the claim among the volumes of the pod, on storage that the kubelet mounts (no hostPath)";
  throw unavailable(`claim ${wanted.claim}: its volume ${wanted.volume} is not mounted on this node for this pod yet: ${remedy}`);
}

/** A server of the pod could keep the one thread of the host service waiting, and with it all volumes of the node. */
function refuseFuse({ claim }: PodClaim, { type }: MountRow): void {
  if (/^fuse(blk)?(\.|$)/.test(type)) throw unready(`claim ${claim}: it lies on a FUSE file system (${type}): use other storage`);
}

function isReadOnly({ options, superOptions }: MountRow): boolean {
  return [options, superOptions].some((words) => words.split(",").includes("ro"));
}

export function readOnlyClaim(claim: string): CsiError {
  return unready(`claim ${claim}: it is read-only (EROFS): an upper layer needs a claim that can be written`);
}

/** Binds the claim to the directory `place`. `kubeletDirectory` has no symbolic links. @throws CsiError */
export function bindClaim(wanted: PodClaim, kubeletDirectory: string, { place, writes }: { place: string; writes: boolean }): void {
  const { fd, mount } = openClaim(wanted, kubeletDirectory);
  try {
    refuseFuse(wanted, mount);
    if (writes && isReadOnly(mount)) throw readOnlyClaim(wanted.claim);
    const bound = native.mount(`/proc/self/fd/${fd}`, bytesOf(place), "", MS.BIND, "");
    if (bound < 0) throw unready(`claim ${wanted.claim}: it cannot be bound to ${place} (errno ${-bound}): give the driver CAP_SYS_ADMIN`);
  } finally {
    native.close(fd);
  }
}
