/** `sluice run`: a command in a sandbox of bubblewrap, on a Sluice mount of the directory that it works on. */
export { countChanges, type ChangeCounts, hasAny, isUntouched, summaryOf } from "./change-counts.js";
export { type LostView, runSession, type Serving } from "./run-session.js";
export { namePrograms, stopPrograms } from "./session-programs.js";
