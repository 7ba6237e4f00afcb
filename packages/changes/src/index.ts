/** The changes of an upper layer for a person: review, patch, apply and undo. */
export { applyDifferences, type Selection } from "./apply/apply.js";
export { forgetUndo } from "./apply/finish.js";
export type { Place } from "./apply/place.js";
export { hasApply, type Recovery, recoverApply } from "./apply/recover.js";
export { appliedAt, noteStates, passStates, undoApply, type Undone } from "./apply/undo.js";
export { noteWriters } from "./apply/writers.js";
export { completeSelection, withoutLeft } from "./complete-selection.js";
export {
  conflictLabel,
  differenceLine,
  type DifferenceReport,
  kindOf,
  kindsOf,
  reportOf,
  shownDifferences,
  summaryOf,
} from "./describe.js";
export { type Difference, isWithin, type OnProgress, type Side } from "./difference.js";
export { inodeKeyOf } from "./identity.js";
export { linkNames } from "./link-names.js";
export { forTerminal } from "./patch/for-terminal.js";
export { restoreOriginalIds } from "./restore-ids.js";
export { reviewLayers } from "./review.js";
export { listChanges, reviewPlace } from "./review-session.js";
export { missingOf, namedBy, selectorOf } from "./selection.js";
export type { Differences } from "./walk-differences.js";
export { missingInPatch, parentsOf, patchesOf, statLines } from "./write-patch.js";
