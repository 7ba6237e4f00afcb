/** `sluice run`: a command in a sandbox of bubblewrap, on a Sluice mount of the directory that it works on. */
export { countChanges, type ChangeCounts, summaryOf } from "./change-counts.js";
export { checkBase, runSession, type Serving } from "./run-session.js";
export { fileOptions, type ServedView, type ViewOrder } from "./view-order.js";
export { namePrograms, stopPrograms } from "./session-programs.js";
