/** Tools for layers that are not mounted, or that a mount passes by descriptor: diff, export, commit, reset and check. */
export { checkWorkLeft } from "./check-work-left.js";
export { type Problem, UpperCheck } from "./check-upper.js";
export { LayerExport } from "./export-layer.js";
export { holdUnmounted } from "./hold-layer.js";
export { LayerStack } from "./layer-stack.js";
export { mend, mendText } from "./mend.js";
export { find, openTree, shownIn, type Tree, treeOf } from "./tree.js";
export { shownPath, walkChanges, walkMerged } from "./walk-layers.js";
export { type Change, walkUpper } from "./walk-upper.js";
export { LayerWriter } from "./write-layer.js";
