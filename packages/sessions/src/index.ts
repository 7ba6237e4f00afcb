/** Sessions of `sluice run`: a directory each, with a record, the layers of the view, and a lock that its runner holds. Layers may be shared. */
export { isOtherBase } from "./base-birth.js";
export { becomeOwner } from "./become-owner.js";
export { realAccountHome, realHome } from "./home-directories.js";
export { splitName } from "./names.js";
export type { Checkpoint, SessionRecord } from "./record.js";
export { type NextNames, Session, type TakeNext } from "./session.js";
export { addRestored, listRestored, type RestoredFile } from "./restored.js";
export { isRunning } from "./session-lock.js";
export { forgetShownIds, hasShownIds, noteShownIds } from "./shown-ids.js";
export {
  addCheckpoint,
  addCheckpointRunning,
  createSession,
  findCheckpoint,
  forkRunning,
  forkSession,
  isDiscarded,
  listSessions,
  openSession,
  type Prepare,
  removeCheckpoint,
  removeSession,
  removeUnusedLayers,
  type RunningMount,
  type WhileHeld,
} from "./store.js";
export { statePath } from "./state-directory.js";
