/**
 * The driver's own directory of one volume of one pod: its pinned sources and its ephemeral space. It is found by the target path alone, so
 * there is no list of volumes that could be lost; the mount table says what is mounted in it.
 */
import { execFile } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, renameSync, rmdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { isBeneath, readMountTable } from "@sluice/mount-control";
import { MNT, MS, native } from "@sluice/native";
import { codeOf } from "@sluice/runtime/cli";
import type { Limits, VolumePlan } from "../config/volume-plan.js";
import { CsiError, invalid, unready } from "../csi-error.js";
import { status } from "@grpc/grpc-js";
import { pin } from "./pinned-source.js";

/** Source of file systems in memory, in the mount table. */
const MEMORY = "sluice-csi";
const REMOVE_MS = 120_000;
const MAX_GID = 0xffff_fffe;
const GROUP_WRITES = 0o2070;
const run = promisify(execFile);
const bytesOf = (path: string): string => Buffer.from(path).toString("latin1");

/** Of a directory; the mode with its special bits. */
export interface Owner {
  uid: number;
  gid: number;
  mode: number;
}

export interface UpperLayer {
  upper: string;
  work: string;
}

export class VolumeDirectory {
  constructor(readonly path: string) {}

  get exists(): boolean {
    return existsSync(this.path);
  }

  make(): void {
    mkdirSync(this.path, { recursive: true, mode: 0o700 });
  }

  /** The places at which the sources are bound, in their order. A source that is bound already stays: the same directory, whatever its path names now. */
  pinAll(sources: readonly string[], roots: readonly string[]): string[] {
    return sources.map((source, at) => {
      const place = this.#directory(`lower${at}`);
      if (!this.#mounted(place)) pin(source, place, roots);
      return place;
    });
  }

  /** The place at which a claim of the pod is bound. One that is bound already stays; otherwise `bind` binds it. */
  async pinClaim(name: "lower0" | "claim", bind: (place: string) => Promise<void>): Promise<string> {
    const place = this.#directory(name);
    if (!this.#mounted(place)) await bind(place);
    return place;
  }

  /** Ephemeral space: of the driver's disk, or of memory if it has a limit. Its files stay as long as the volume. */
  ephemeral({ limits, memoryBytes }: Pick<VolumePlan, "limits" | "memoryBytes">, lower: string, group: string): UpperLayer {
    const place = this.#directory("space");
    if (limits.sizeBytes !== undefined && !this.#mounted(place)) {
      const used = memoryOf(dirname(this.path));
      if (used + limits.sizeBytes > memoryBytes) {
        const problem = `volumes with a limit may have ${memoryBytes} bytes on this node together, and have ${used}`;
        throw new CsiError(status.RESOURCE_EXHAUSTED, `attribute maxSizeBytes: ${problem}`);
      }
      mountMemory(place, limits);
    }
    return layersIn(place, lower, group);
  }

  /** Unmounts and removes everything of the volume. The mount of the volume itself has ended. */
  async remove(): Promise<void> {
    if (!this.exists) return;
    const inside = readMountTable().filter(({ mountpoint }) => isBeneath(mountpoint, this.path));
    for (const { mountpoint } of inside.reverse()) {
      const left = native.umount2(bytesOf(mountpoint), MNT.DETACH | MNT.UMOUNT_NOFOLLOW);
      if (left < 0) throw new CsiError(status.INTERNAL, `${mountpoint}: it cannot be unmounted (errno ${-left})`);
    }
    // Bound sources are somebody else's: nothing is removed below a place that is still mounted. A plain directory is empty then.
    for (const name of readdirSync(this.path)) if (name !== "space") rmdirSync(join(this.path, name));
    // A child: a user decided how many files there are, and their removal would hold up every other volume.
    await run("rm", ["-rf", "--one-file-system", "--", join(this.path, "space")], { timeout: REMOVE_MS });
    rmdirSync(this.path);
  }

  #directory(name: string): string {
    const path = join(this.path, name);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return path;
  }

  #mounted(path: string): boolean {
    return readMountTable().some(({ mountpoint }) => mountpoint === path);
  }
}

/** The sizes of all file systems in memory below a directory, by the mount table. */
function memoryOf(directory: string): number {
  const rows = readMountTable().filter(({ source, mountpoint }) => source === MEMORY && isBeneath(mountpoint, directory));
  const KIB = 1024;
  return rows.reduce((sum, { superOptions }) => sum + Number(/(?:^|,)size=(\d+)k/.exec(superOptions)?.[1] ?? 0) * KIB, 0);
}

function mountMemory(place: string, { sizeBytes, inodes }: Limits): void {
  const options = [
    "mode=0700",
    ...(sizeBytes === undefined ? [] : [`size=${sizeBytes}`]),
    ...(inodes === undefined ? [] : [`nr_inodes=${inodes}`]),
  ];
  const mounted = native.mount(MEMORY, bytesOf(place), "tmpfs", MS.NOSUID | MS.NODEV, options.join(","));
  if (mounted < 0) throw unready(`${place}: no file system in memory can be mounted (errno ${-mounted}): give the driver CAP_SYS_ADMIN`);
}

/** Upper and work directory in `place`. The root of the volume has the owner and mode of the lower one, and belongs to the pod's fsGroup if it has one. */
function layersIn(place: string, lower: string, group: string): UpperLayer {
  const layers = { upper: join(place, "upper"), work: join(place, "work") };
  try {
    mkdirSync(layers.work, { recursive: true, mode: 0o700 });
    if (existsSync(layers.upper)) return layers;
    // It gets its name once it is whole: a driver that is killed in between leaves no layer with another owner.
    const made = join(place, "upper.new");
    mkdirSync(made, { recursive: true, mode: 0o700 });
    const { uid, gid, mode } = ownerOf(lower, group);
    chownSync(made, uid, gid);
    chmodSync(made, mode);
    renameSync(made, layers.upper);
    return layers;
  } catch (error) {
    if (error instanceof CsiError) throw error;
    throw new CsiError(codeOf(error) === "ENOSPC" ? status.RESOURCE_EXHAUSTED : status.INTERNAL, `${place}: ${codeOf(error)}`, {
      cause: error,
    });
  }
}

/** The owner and mode of a volume's root: those of the lower layer, for the pod's fsGroup if it has one. @throws CsiError */
export function ownerOf(lower: string, group: string): Owner {
  const { uid, gid, mode } = statSync(lower);
  const bits = mode & 0o7777;
  return group === "" ? { uid, gid, mode: bits } : { uid, gid: gidOf(group), mode: bits | GROUP_WRITES };
}

function gidOf(group: string): number {
  const gid = Number(group);
  if (/^\d{1,10}$/.test(group) && gid <= MAX_GID) return gid;
  throw invalid("volume_mount_group: it is not the number of a group");
}
