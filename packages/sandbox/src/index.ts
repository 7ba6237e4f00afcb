/** `sluice run`: a command in a sandbox of bubblewrap, on a Sluice mount of the directory that it works on. */
export { isUntouched } from "./is-untouched.js";
export { type LostView, runSession, type Serving } from "./run-session.js";
export { namePrograms, stopPrograms } from "./session-programs.js";
