/** Tools for layers that are not mounted, or that a mount passes by descriptor: diff, export, commit, reset and check. */
export { checkDisjoint, checkOutside, type RoleOfTree } from "./check-disjoint.js";
export { checkWorkLeft } from "./check-work-left.js";
export { type Problem, UpperCheck } from "./check-upper.js";
export { commitLayer } from "./commit-layer.js";
export { asWriter, furnish, type Furniture, furnitureOf, makeObject, type Original, OWNER_WRITES, type Spot } from "./copy-object.js";
export { LayerExport } from "./export-layer.js";
export { holdUnmounted } from "./hold-layer.js";
export { type Hit, isDirectory, isRegular, type LayerPath, LayerStack, type Looked } from "./layer-stack.js";
export { mend, mendText } from "./mend.js";
export { type UpperItem, walkUppers } from "./merge-uppers.js";
export { isMark, readTarget, readXattrs, shownName } from "./read-object.js";
export { resetLayer } from "./reset-layer.js";
export { isCovered, isOfOverlay, join, MountedOver, openTree, readAsMount, type Tree, treeOf } from "./tree.js";
export { Deeper, unnested } from "./unnested.js";
export { dataOf, shownPath, walkMerged } from "./walk-layers.js";
export { type Change, type ChangeKind, kindOfChange, typeName, walkUpper } from "./walk-upper.js";
export { LayerWriter } from "./write-layer.js";
