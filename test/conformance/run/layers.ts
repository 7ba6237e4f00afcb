/** The layers of one run: every case's trees planted below directories of the cases' names. */
import { mkdirSync } from "node:fs";
import { allCases } from "../cases/all-cases.js";
import { directoryName } from "../cases/case.js";
import { plantTree } from "../tree/plant-tree.js";
import { dir, type Tree } from "../tree/tree.js";

export interface Layers {
  /** Top first. */
  lowers: [string, string];
  upper: string;
  work: string;
}

/** Makes equal layers below `base`, on every machine and at every time. `names`: the directories of the planted cases. */
export function plantLayers(base: string, names: readonly string[]): Layers {
  const layers: Layers = { lowers: [`${base}/top`, `${base}/bottom`], upper: `${base}/upper`, work: `${base}/work` };
  for (const path of [...layers.lowers, layers.upper, layers.work]) mkdirSync(path);
  const trees: [Tree, Tree, Tree] = [{}, {}, {}];
  for (const { name, lower, top, upper } of allCases) {
    const key = directoryName(name);
    if (!names.includes(key)) continue;
    const add = (at: 0 | 1 | 2, tree: Tree | undefined): void => {
      if (tree !== undefined) trees[at] = { ...trees[at], [key]: dir(tree) };
    };
    add(0, top);
    add(1, lower ?? (top === undefined ? {} : undefined));
    add(2, upper);
  }
  plantTree(layers.lowers[0], trees[0]);
  plantTree(layers.lowers[1], trees[1]);
  plantTree(layers.upper, trees[2]);
  return layers;
}
