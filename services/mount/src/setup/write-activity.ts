/** Writes the activity of the mount to the file of `--activity-file`: at its end, and every few seconds, since a server may be killed. */
import { lstatSync, renameSync, writeFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { native, toBytes } from "@sluice/native";
import { unfit } from "@sluice/runtime/cli";
import { AT, errnoName, O } from "@sluice/vfs";
import type { MountContext } from "../serve/mount-context.js";
import type { Grants } from "../enforcement/grants.js";
import { ActivityRecord } from "../telemetry/activity-record.js";

const EVERY_MS = 5_000;

/** The directory is reached by its path once: a later mount may cover it, even one of this process. @throws CliError */
function openDirectory(path: string): number {
  const fd = native.openat(AT.FDCWD, toBytes(path), O.PATH | O.DIRECTORY | O.CLOEXEC, 0);
  if (fd >= 0) return fd;
  throw unfit(path, `the directory of --activity-file cannot be opened (${errnoName(-fd)})`, "name a file in a directory that is there");
}

/** A rename would replace a device or a link by a file. @throws CliError */
function checkPlace(path: string, activityFile: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isFile() !== false) return;
  throw unfit(
    activityFile,
    "the activity cannot be written here: it is no regular file",
    "name a file, or a new name, with --activity-file",
  );
}

/** Without the option it does nothing. @throws CliError */
export function writeActivity({ config: { activityFile }, hold, logger, telemetry, undo }: MountContext, grants: Grants): void {
  if (activityFile === undefined) return;
  const directory = openDirectory(dirname(activityFile));
  const path = `/proc/self/fd/${directory}/${basename(activityFile)}`;
  checkPlace(path, activityFile);
  const record = new ActivityRecord();
  telemetry.record = record;
  grants.listen((change, { path, pid, write }) => {
    if (change === "opened") record.add(write ? "written" : "read", pid, path);
  });
  const write = (): void => {
    if (!record.changed) return;
    record.changed = false;
    try {
      writeFileSync(`${path}.next`, JSON.stringify(record.toFile()), { mode: 0o600 });
      renameSync(`${path}.next`, path);
    } catch (error) {
      logger.warn({ activityFile, error }, "the activity of the mount cannot be written");
    }
  };
  write();
  hold.beforeLettingGo(write);
  const timer = setInterval(write, EVERY_MS).unref();
  undo.push("write the activity of the mount", () => {
    clearInterval(timer);
    write();
    native.close(directory);
  });
}
