/** Tools for layers that are not mounted, or that a mount passes by descriptor: diff, export, commit, reset and check. */
export { checkWorkLeft } from "./check-work-left.js";
export { type Problem, UpperCheck } from "./check-upper.js";
export { commitLayer } from "./commit-layer.js";
export { LayerExport } from "./export-layer.js";
export { holdUnmounted } from "./hold-layer.js";
export { LayerStack } from "./layer-stack.js";
export { mend, mendText } from "./mend.js";
export { resetLayer } from "./reset-layer.js";
export { openTree, type Tree, treeOf } from "./tree.js";
export { shownPath } from "./walk-layers.js";
export { type Change, walkUpper } from "./walk-upper.js";
