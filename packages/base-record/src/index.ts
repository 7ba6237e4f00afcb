/** The lower objects that a session saw before it changed or removed them: written by its mount, read by its review. */
export { BaseRecorder } from "./base-recorder.js";
export { type BaseEntry, identityIn, readIdentity } from "./entry.js";
export { BaseRecords } from "./base-records.js";
export { joinRecords } from "./join-records.js";
