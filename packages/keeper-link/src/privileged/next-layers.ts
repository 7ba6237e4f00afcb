/** Another upper layer and work directory for a mount in use. They lie in a directory beside the present ones, and get a clone of their own. */
import { basename, dirname } from "node:path";
import { native, toBytes } from "@sluice/native";
import { Errno, errnoName, O, RENAME } from "@sluice/vfs";
import type { NextLayers, NextNames } from "../keeper-link.js";
import type { MountPlan } from "../mount-plan.js";
import { claimUpper } from "./claim-upper.js";
import { LayerError } from "./layer-error.js";
import { identityOf } from "./layer-identity.js";
import { cloneUpper, openInClone, setReadOnly } from "./open-layers.js";

/** Those that the mount has now. */
interface PresentLayers {
  /** Of the mount that they lie on. */
  readonly clone: number;
  /** Lets go of their claim and their clone. */
  letGo(): void;
}

interface OpenedNext extends NextLayers {
  /** Those that the mount has once they are taken. */
  readonly present: PresentLayers;
}

/** @returns the directory that both lie in. @throws LayerError */
function commonDirectory({ upper, work }: Pick<MountPlan, "upper" | "work">): string {
  if (upper !== undefined && work !== undefined && dirname(upper) === dirname(work)) return dirname(upper);
  throw new LayerError(upper ?? "", "the upper layer and the work directory do not lie in one directory (EINVAL)", "copy them instead");
}

/** @throws LayerError */
function openDirectory(clone: number, path: string, present: PresentLayers): number {
  const moved = identityOf(clone) !== identityOf(present.clone);
  const fd = moved ? -Errno.ESTALE : native.openat(clone, ".", O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  if (fd < 0)
    throw new LayerError(path, `the directory of the upper layer cannot be opened (${errnoName(-fd)})`, "leave its path as it is");
  return fd;
}

/** @throws LayerError; then nothing stays open */
function openNextLayers(plan: Pick<MountPlan, "upper" | "work" | "flags">, names: NextNames, present: PresentLayers): OpenedNext {
  const path = commonDirectory(plan);
  const opened: number[] = [];
  const held = (fd: number): number => {
    opened.push(fd);
    return fd;
  };
  try {
    const clone = held(cloneUpper(path, plan.flags));
    const directory = held(openDirectory(clone, path, present));
    const open = (layer: string): { path: string; rootFd: number } => {
      const inNext = `${path}/${names.next}/${basename(layer)}`;
      return { path: layer, rootFd: held(openInClone(clone, path, inNext)) };
    };
    const [upper, work] = [open(plan.upper as string), open(plan.work as string)];
    const unclaim = claimUpper(upper, work);
    let isHeld = true;
    const letGo = (): void => {
      if (!isHeld) return;
      isHeld = false;
      unclaim();
      for (const fd of [clone, directory]) native.close(fd);
    };
    const takeNow = async (): Promise<number> => {
      const status = take(directory, names, present);
      if (status === 0) await native.fsyncAsync(directory, false);
      return status;
    };
    return { upper, work, present: { clone, letGo }, take: takeNow, giveUp: letGo };
  } catch (error) {
    for (const fd of opened) native.close(fd);
    throw error;
  }
}

/** The name tells that the layers are in use only once nothing can write in the present ones. */
function take(directory: number, { next, taken }: NextNames, present: PresentLayers): number {
  const sealed = setReadOnly(present.clone, true);
  if (sealed < 0) return sealed;
  const renamed = native.renameat2(directory, toBytes(next), directory, toBytes(taken), RENAME.NOREPLACE);
  if (renamed >= 0) return 0;
  setReadOnly(present.clone, false);
  return renamed;
}

/** The upper layer and work directory of a mount, which may become others. */
export class UpperInUse {
  #present: PresentLayers | undefined;

  constructor(
    private readonly plan: MountPlan,
    present: PresentLayers,
  ) {
    this.#present = present;
  }

  /** @throws LayerError; then nothing stays open */
  openNext(names: NextNames): NextLayers {
    const present = this.#present;
    if (present === undefined) throw new LayerError(this.plan.mountpoint, "the mount has ended (ENOTCONN)", "copy the layers instead");
    const next = openNextLayers(this.plan, names, present);
    const take = async (): Promise<number> => {
      const status = await next.take();
      // Unless the mount has ended meanwhile.
      if (status === 0 && this.#present === present) {
        present.letGo();
        this.#present = next.present;
      }
      return status;
    };
    return { ...next, take };
  }

  letGo(): void {
    this.#present?.letGo();
    this.#present = undefined;
  }
}
