/** A session as `sluice run` leaves it, from literals: a base, an upper layer over it, and a directory of its own. */
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Difference } from "../difference.js";
import { reviewLayers } from "../review.js";
import { LayerStack, openTree } from "@sluice/layer-tools";
import { native, openRealDirectory } from "@sluice/native";
import { cleanUp, directory, file, hardLink, mountKernelOverlay, plant, scratch, symlink, type Tree, whiteout } from "@sluice/testkit";
import { O } from "@sluice/vfs";
import type { Place } from "../apply/place.js";

/** Some ticks of the kernel's clock: the times of both layers differ. */
const APART_MS = 20;

export const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, APART_MS));

/** A directory and an upper layer that changes it in every way, for sessions that are broken off. */
export const CHANGED_BASE: Tree = {
  edited: file("old"),
  gone: file("gone"),
  "dir/in": file("in"),
  "pair/a": file("two names"),
  "pair/b": hardLink("pair/a"),
  folder: file("a file"),
  mode: file("m", { mode: 0o644 }),
};
export const CHANGES: Tree = {
  edited: file("new"),
  gone: whiteout(),
  dir: symlink("elsewhere"),
  "pair/a": file("changed"),
  "pair/b": hardLink("pair/a"),
  "folder/": directory(),
  "folder/in": file("in"),
  mode: file("m", { mode: 0o755 }),
  "added/in": file("added"),
};

export interface PlantedSession {
  base: string;
  upper: string;
  directory: string;
  place: Place;
  /** Of the layers as they are now. */
  stack(): LayerStack;
  review(): Difference[];
}

function openPrivate(path: string): Place["directory"] {
  const fd = openRealDirectory(path, O.RDONLY);
  cleanUp(() => void native.close(fd));
  return { fd, path };
}

/** The file systems of the base and of the session. Two in memory are one. An overlay, as in a container, has all of the base below. */
export interface Where {
  base: "disk" | "tmpfs" | "overlay";
  session: "disk" | "tmpfs";
}

function overlayOf(lower: string): string {
  const [upper, work] = ["upper", "work"].map((name) => join(dirname(lower), name)) as [string, string];
  for (const path of [upper, work]) mkdirSync(path);
  return mountKernelOverlay({ lowers: [lower], upper, work, options: "index=off,redirect_dir=off" });
}

export async function plantSession(base: Tree, upper: Tree, where: Where = { base: "disk", session: "disk" }): Promise<PlantedSession> {
  const planted = join(scratch({ on: where.base === "disk" ? "disk" : "tmpfs" }), "base");
  const directory = join(where.base === where.session ? dirname(planted) : scratch({ on: where.session }), "session");
  mkdirSync(planted);
  plant(planted, base);
  const at = where.base === "overlay" ? overlayOf(planted) : planted;
  await pause();
  mkdirSync(directory, { mode: 0o700 });
  mkdirSync(join(directory, "upper"));
  plant(join(directory, "upper"), upper);
  await pause();
  const trees = { base: openTree(at, false), upper: openTree(join(directory, "upper"), false) };
  cleanUp(() => {
    for (const { fd } of Object.values(trees)) native.close(fd);
  });
  const stack = (): LayerStack => new LayerStack([trees.upper, trees.base]);
  return {
    base: at,
    upper: join(directory, "upper"),
    directory,
    place: { name: "planted", ...trees, directory: openPrivate(directory) },
    stack,
    review: () => reviewLayers(stack()).list,
  };
}
