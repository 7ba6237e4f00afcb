/** The path at which the kubelet wants a volume. It is checked as if anybody had sent it. */
import { realpathSync } from "node:fs";
import { join } from "node:path";
import { native, openRealDirectory } from "@sluice/native";
import { codeOf } from "@sluice/runtime/cli";
import { invalid, unready } from "../csi-error.js";

/** As the kubelet makes it for CSI volumes (pkg/volume/csi/csi_mounter.go, GetPath). */
const BELOW = /^pods\/([A-Za-z0-9-]{1,128})\/volumes\/kubernetes\.io~csi\/([a-z0-9][a-z0-9.-]{0,252})\/mount$/;

export interface Target {
  /** Without symbolic links, as the mount table has it. */
  path: string;
  /** Without symbolic links. */
  kubeletDirectory: string;
  /** The directory of the kubelet that it is made in. */
  parent: string;
  podUid: string;
  /** Of the volume in the pod, or of the PersistentVolume. */
  name: string;
  /** Of the volume's own directory: one for each pod and volume. */
  key: string;
}

/** @throws CsiError if the path is not one of the kubelet's for a CSI volume */
export function targetOf(given: string, kubeletDirectory: string): Target {
  const inside = given.startsWith(`${kubeletDirectory}/`) ? given.slice(kubeletDirectory.length + 1) : "";
  const [, podUid, name] = BELOW.exec(inside) ?? [];
  if (podUid === undefined || name === undefined)
    throw invalid(`target path: it is not one of the kubelet in ${kubeletDirectory} for a CSI volume`);
  let real: string;
  try {
    real = realpathSync(kubeletDirectory);
  } catch (error) {
    throw unready(`${kubeletDirectory}: the directory of the kubelet cannot be read (${codeOf(error)}): mount it into the driver`);
  }
  const path = join(real, inside);
  return { path, kubeletDirectory: real, parent: join(path, ".."), podUid, name, key: `${podUid}.${name}` };
}

const O_PATH = 0o10000000;

/** Nobody has put a symbolic link on the way. @returns false if the kubelet has removed the directory @throws CsiError */
export function parentExists({ parent }: Target): boolean {
  const ENOENT = 2;
  const fd = openRealDirectory(Buffer.from(parent).toString("latin1"), O_PATH);
  if (fd === -ENOENT) return false;
  if (fd < 0) throw invalid(`target path: ${parent} is no directory without symbolic links (errno ${-fd})`);
  native.close(fd);
  return true;
}
