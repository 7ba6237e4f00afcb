/** Draws the contents of a sequence's layers: the same few names in each, so that they hide, merge and cover one another. */
import { S } from "@sluice/vfs";
import type { Entry, Traits } from "../../conformance/tree/tree.js";
import type { LayerName, Plant } from "../script/script.js";
import type { Names } from "./names.js";
import type { Random } from "@sluice/testkit/random";

const OWNERS = [0, 0, 0, 1000, 1000, 2000];
const FILE_MODES = [0o644, 0o644, 0o666, 0o600, 0o640, 0o755, 0o444, 0o660, 0];
const PRIVILEGED_MODES = [0o4755, 0o2755, 0o6777, 0o2644];
const DIRECTORY_MODES = [0o755, 0o777, 0o777, 0o700, 0o1777, 0o2777, 0o2775, 0o555];
const DEEPEST = 3;
/** No link leads out of the sequence's directory: the files outside are shared. */
export const LINK_TARGETS = ["a", "b/c", "./d", "nowhere"];
const PER_LAYER = 14;

/** user::rwx user:1000:rwx group::r-x mask::rwx other::--- */
export const ACL = Buffer.from("0200000001000700ffffffff02000700e803000004000500ffffffff10000700ffffffff20000000ffffffff", "hex").toString(
  "latin1",
);

interface Draw {
  random: Random;
  names: Names;
  layer: LayerName;
  /** Whiteouts and marks have no effect in the lowest layer. */
  lowest: boolean;
  plants: Plant[];
  files: string[];
}

function traits({ random }: Draw, modes: readonly number[]): Traits {
  const xattrs = random.once(5) ? { "user.planted": "value" } : undefined;
  return {
    mode: random.of(random.once(8) ? PRIVILEGED_MODES : modes),
    uid: random.of(OWNERS),
    gid: random.of(OWNERS),
    ...(xattrs === undefined ? {} : { xattrs }),
  };
}

/** An object that is neither file nor directory cannot have user attributes. */
function bareTraits(draw: Draw): Traits {
  const { mode, uid, gid } = { mode: 0o644, uid: 0, gid: 0, ...traits(draw, FILE_MODES) };
  return { mode, uid, gid };
}

function drawFile(draw: Draw): Entry {
  const { random } = draw;
  if (random.once(6)) {
    const pieces = { 4096: "data after a hole", 200_000: "and more" };
    return { kind: "file", content: "", sizeBytes: 300_001, pieces, traits: traits(draw, FILE_MODES) };
  }
  return {
    kind: "file",
    content: `content of ${draw.layer} ${random.below(100)} `.repeat(random.of([0, 1, 1, 3, 400])),
    traits: traits(draw, FILE_MODES),
  };
}

function drawDirectory(draw: Draw): Entry {
  const { random } = draw;
  const plain = traits(draw, DIRECTORY_MODES);
  const marks: Record<string, string> = { ...plain.xattrs };
  if (!draw.lowest && random.once(4)) marks["trusted.overlay.opaque"] = "y";
  if (random.once(6)) marks["system.posix_acl_default"] = ACL;
  return { kind: "directory", entries: {}, traits: { ...plain, xattrs: marks } };
}

function drawEntry(draw: Draw): Entry {
  const { random, files } = draw;
  const target = files.length > 0 ? random.of(files) : undefined;
  return random.weighted<() => Entry>([
    [8, () => drawFile(draw)],
    [8, () => drawDirectory(draw)],
    [2, () => ({ kind: "symlink", target: random.of(LINK_TARGETS), traits: {} })],
    [draw.lowest ? 0 : 4, () => ({ kind: "whiteout" })],
    [target === undefined ? 0 : 3, () => ({ kind: "hard-link", to: target ?? "" })],
    [1, () => ({ kind: random.of(["fifo", "socket"]), traits: bareTraits(draw) })],
    [1, () => ({ kind: "device", character: true, major: 1, minor: 3, traits: bareTraits(draw) })],
  ])();
}

function drawBelow(draw: Draw, path: string, depth: number): void {
  for (const name of draw.names.pool) {
    if (draw.plants.length >= PER_LAYER || !draw.random.once(2)) continue;
    const child = path === "" ? name : `${path}/${name}`;
    const entry = drawEntry(draw);
    draw.plants.push({ layer: draw.layer, path: child, entry });
    if (entry.kind === "file") draw.files.push(child);
    if (entry.kind === "directory" && depth < DEEPEST) drawBelow(draw, child, depth + 1);
  }
}

/** Implied directories are plain. */
function shutsOff(plants: readonly Plant[], layer: LayerName, path: string): boolean {
  const found = plants.find((plant) => plant.layer === layer && plant.path === path)?.entry;
  if (found === undefined) return false;
  return found.kind !== "directory" || found.traits.xattrs?.["trusted.overlay.opaque"] !== undefined;
}

/**
 * Tells whether a whiteout hides something in a merged directory. Nobody makes a whiteout elsewhere, and the kernel lists it
 * there as a name that does not exist.
 */
function hidesSomething(plants: readonly Plant[], layers: readonly LayerName[], { layer, path }: Plant): boolean {
  const parents = path.split("/").slice(0, -1);
  const prefixes = parents.map((_, index) => parents.slice(0, index + 1).join("/"));
  for (const below of layers.slice(layers.indexOf(layer) + 1)) {
    const hidden = plants.find((plant) => plant.layer === below && plant.path === path);
    const above = layers.slice(layers.indexOf(layer), layers.indexOf(below));
    if (prefixes.some((prefix) => above.some((one) => shutsOff(plants, one, prefix)))) return false;
    if (hidden !== undefined) return hidden.entry.kind !== "whiteout";
    if (prefixes.some((prefix) => shutsOff(plants, below, prefix))) return false;
  }
  return false;
}

export function drawLayers(random: Random, names: Names, lowers: number): Plant[] {
  const layers: LayerName[] = ["upper", ...Array.from({ length: lowers }, (_, index) => `lower${index}` as const)];
  const plants = layers.flatMap((layer, index) => {
    if (layer === "upper" && random.once(4)) return [];
    const draw: Draw = { random, names, layer, lowest: index === lowers, plants: [], files: [] };
    drawBelow(draw, "", 1);
    return draw.plants;
  });
  return plants.filter((plant) => plant.entry.kind !== "whiteout" || hidesSomething(plants, layers, plant));
}

export const SPECIAL_MODES = [S.IFIFO | 0o644, S.IFSOCK | 0o755, S.IFREG | 0o666, S.IFCHR | 0o666, S.IFCHR | 0o666];
