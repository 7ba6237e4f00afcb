/** Writes the activity of the mount to the file of `--activity-file`: at its end, and every few seconds, since a server may be killed. */
import { renameSync, writeFileSync } from "node:fs";
import type { MountContext } from "../serve/mount-context.js";
import type { Grants } from "../enforcement/grants.js";
import { ActivityRecord } from "../telemetry/activity-record.js";

const EVERY_MS = 5_000;

/** Without the option it does nothing. */
export function writeActivity({ config: { activityFile }, logger, telemetry, undo }: MountContext, grants: Grants): void {
  if (activityFile === undefined) return;
  const record = new ActivityRecord();
  telemetry.record = record;
  grants.listen((change, { path, pid, write }) => {
    if (change === "opened") record.add(write ? "written" : "read", pid, path);
  });
  const write = (): void => {
    if (!record.changed) return;
    record.changed = false;
    try {
      writeFileSync(`${activityFile}.next`, JSON.stringify(record.toFile()), { mode: 0o600 });
      renameSync(`${activityFile}.next`, activityFile);
    } catch (error) {
      logger.warn({ activityFile, error }, "the activity of the mount cannot be written");
    }
  };
  write();
  const timer = setInterval(write, EVERY_MS).unref();
  undo.push("write the activity of the mount", () => {
    clearInterval(timer);
    write();
  });
}
