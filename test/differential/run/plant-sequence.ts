/** Creates the objects of a script's layers, below a directory of the sequence's name in each layer. */
import { check, native } from "@sluice/native";
import { AT } from "@sluice/vfs";
import { plantTree } from "../../conformance/tree/plant-tree.js";
import { dir, type Entry, type Tree } from "../../conformance/tree/tree.js";
import type { LayerName, Plant, Sequence } from "../script/script.js";

/** Everybody may create objects in it. */
const TOP = { mode: 0o777 };
const OLD = { atimeSec: 1_000_000_000, atimeNsec: 0, mtimeSec: 1_000_000_000, mtimeNsec: 123_456_789 };

type Growing = Record<string, Entry>;

function directoryIn(tree: Growing, name: string): Growing | undefined {
  const found = (tree[name] ??= dir());
  return found.kind === "directory" ? (found.entries as Growing) : undefined;
}

/** Objects that do not fit (in a shrunk script) are left out. */
function insert(tree: Growing, { path, entry }: Plant): void {
  const parts = path.split("/");
  const name = parts.pop() ?? "";
  let place: Growing | undefined = tree;
  for (const part of parts) place = place === undefined ? undefined : directoryIn(place, part);
  if (place === undefined || place[name] !== undefined) return;
  place[name] = entry.kind === "directory" ? { ...entry, entries: {} } : entry;
}

function plantLink(root: string, path: string, to: string): void {
  if (native.linkat(AT.FDCWD, `${root}/${to}`, AT.FDCWD, `${root}/${path}`, 0) < 0) return;
  const parent = path.includes("/") ? `${root}/${path.slice(0, path.lastIndexOf("/"))}` : root;
  check(native.utimensat(AT.FDCWD, parent, OLD, AT.SYMLINK_NOFOLLOW), `set the times of ${parent}`);
}

/** `roots`: the layers' roots by name. Every lower layer has the directory itself, and upper if it holds an object. */
export function plantSequence(roots: Readonly<Record<string, string>>, name: string, { plants }: Pick<Sequence, "plants">): void {
  for (const [layer, root] of Object.entries(roots) as [LayerName, string][]) {
    const own = plants.filter((plant) => plant.layer === layer);
    if (layer === "upper" && own.length === 0) continue;
    const tree: Growing = {};
    for (const plant of own) if (plant.entry.kind !== "hard-link") insert(tree, plant);
    plantTree(root, { [name]: dir(tree as Tree, TOP) });
    for (const { path, entry } of own) if (entry.kind === "hard-link") plantLink(`${root}/${name}`, path, entry.to);
  }
}
