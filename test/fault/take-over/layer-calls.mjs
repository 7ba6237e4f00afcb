/**
 * Calls of the addon that change a layer, the keeper's store or the kernel's caches: the two planters kill a server at these.
 */
export const LAYER_CALLS = [
  "renameat2",
  "mkdirat",
  "mknodat",
  "symlinkat",
  "linkat",
  "unlinkat",
  "setxattrat",
  "removexattrat",
  "fchownat",
  "fchmodat",
  "utimensat",
  "setModeAndTimes",
  "moveKeepingTimes",
  "ftruncate",
  "ficlone",
  "pwriteAsync",
  "copyBytes",
  "copyFileRangeAsync",
  "fsyncAsync",
  "sendMessage",
  "backingOpenWithoutFsetid",
];
