/**
 * Notes that a mount of the session may have shown, copied and made files with the owner's primary group instead of another group of theirs:
 * see packages/changes/src/restore-groups.ts. The note is a file in the session's directory, so it outlives a killed command.
 */
import { native, openBeneath } from "@sluice/native";
import { failed } from "@sluice/runtime/cli";
import { AT, Attr, errnoName, O } from "@sluice/vfs";
import { below, type Place } from "./state-directory.js";

const NOTE = "shown-groups";

/** @param directory of the session. @throws CliError */
export function noteShownGroups(directory: Place): void {
  const fd = openBeneath(directory.fd, NOTE, O.WRONLY | O.CREAT, 0o600);
  if (fd < 0) throw failed(below(directory, NOTE).path, `the file cannot be made (${errnoName(-fd)})`, "make room on its disk");
  native.close(fd);
}

/** @param directory of the session */
export function hasShownGroups(directory: Place): boolean {
  return native.statx(directory.fd, NOTE, AT.SYMLINK_NOFOLLOW, new Attr().words) >= 0;
}

/** The groups have been restored. @param directory of the session */
export function forgetShownGroups(directory: Place): void {
  native.unlinkat(directory.fd, NOTE, 0);
}
