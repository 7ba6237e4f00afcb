/** Ends what a killed command began: an apply is finished if everything was in place, else undone; an undo is finished. */
import { abandonApply, finishApply, finishUndo, inApply } from "./finish.js";
import { APPLY, exists, type Place, REMAINS, remove, UNDO } from "./place.js";
import { BEGUN, DONE, readApplyRecord, UNDOING } from "./record.js";

export type Recovery = "apply finished" | "apply undone" | "undo finished";

/** Whether an apply is under way, or can be undone. */
export function hasApply({ directory: { fd } }: Pick<Place, "directory">): boolean {
  return [APPLY, UNDO, REMAINS].some((name) => exists(fd, name));
}

/** The session is locked. @returns undefined if there was nothing to do. @throws CliError */
export function recoverApply(place: Place): Recovery | undefined {
  const shown = place.directory.path;
  remove(place.directory, REMAINS);
  const undone = inApply(place, UNDO, (directory) => {
    const record = readApplyRecord(directory, UNDOING, shown);
    if (record !== undefined) finishUndo(place, directory, record);
    return record !== undefined;
  });
  if (undone === true) return "undo finished";
  return inApply(place, APPLY, (directory): Recovery => {
    const done = readApplyRecord(directory, DONE, shown);
    if (done !== undefined) {
      finishApply(place, directory, done);
      return "apply finished";
    }
    const begun = readApplyRecord(directory, BEGUN, shown);
    if (begun !== undefined) abandonApply(place, directory, begun);
    else remove(place.directory, APPLY);
    return "apply undone";
  });
}
