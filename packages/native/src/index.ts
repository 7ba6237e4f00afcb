/** System calls that Node lacks. See binding.ts for the conventions of results, names and offsets. */
export * from "./binding.js";
export * from "./constants.js";
export type { UtimeTimes } from "./name-calls.js";
export { DirentCursor, parseDirents, readNames, type VisitDirent } from "./paths/dirents.js";
export { Fd } from "./fd.js";
export { bootTimeMs } from "./process/boot-time.js";
export { leaveNow } from "./process/leave-now.js";
export { startThreads } from "./process/start-threads.js";
export { native } from "./native.js";
export { memoryFileOf } from "./memory-file.js";
export { check, NativeError } from "./native-error.js";
export { untilReadable } from "./until-readable.js";
export { everyThreadIsUser, everyThreadWithin } from "./process/thread-rights.js";
export { inDirectory, openBeneath, openDirectoryBeneath, openRealDirectory } from "./paths/open-beneath.js";
export { identityOf, moveAside, whileNaming } from "./paths/name-in-turn.js";
export { forgetOpened, noteOpened, restoreOpened } from "./paths/opened-directories.js";
export { emptyDirectory, type Removal, removeTree } from "./paths/remove-tree.js";
export { toBytes, toText } from "./paths/path-bytes.js";
