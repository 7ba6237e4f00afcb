/** Sessions of `sluice run`: a directory each, with a record, the layers of the view, and a lock that its runner holds. */
export type { SessionRecord } from "./record.js";
export { isRunning, Session } from "./session.js";
export { createSession, listSessions, openSession, removeSession } from "./store.js";
export { statePath } from "./state-directory.js";
