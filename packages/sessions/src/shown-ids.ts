/**
 * Notes that a mount of the session may have copied and made files without ids that its user namespace has not: see
 * packages/changes/src/restore-ids.ts. The note is a file in the session's directory, so it outlives a killed command.
 */
import { native, openBeneath } from "@sluice/native";
import { failed } from "@sluice/runtime/cli";
import { AT, Attr, errnoName, O } from "@sluice/vfs";
import { below, type Place } from "./state-directory.js";

const NOTE = "shown-ids";

/** @param directory of the session. @throws CliError */
export function noteShownIds(directory: Place): void {
  const fd = openBeneath(directory.fd, NOTE, O.WRONLY | O.CREAT, 0o600);
  if (fd < 0) throw failed(below(directory, NOTE).path, `the file cannot be made (${errnoName(-fd)})`, "make room on its disk");
  native.close(fd);
}

/** @param directory of the session */
export function hasShownIds(directory: Place): boolean {
  return native.statx(directory.fd, NOTE, AT.SYMLINK_NOFOLLOW, new Attr().words) >= 0;
}

/** The ids have been restored. @param directory of the session */
export function forgetShownIds(directory: Place): void {
  native.unlinkat(directory.fd, NOTE, 0);
}
