/** What the daemon does to itself before it serves anybody. */
import { native } from "@sluice/native";
import type { Logger } from "@sluice/runtime";
import { errnoName } from "@sluice/vfs";

/** A failure is logged, not fatal: each of these is a second line of defence. */
export function hardenProcess(logger: Logger, kept: boolean): void {
  // Modes of created files are the caller's business; a mask of ours would be applied on top of theirs.
  native.umask(0);
  // A mount must not hold the directory it was started in.
  process.chdir("/");
  // The caller's groups decide whether setgid stays on what is made; the daemon's own must not add to them.
  dropGroups(logger);
  const { soft, hard } = native.nofileLimit();
  if (soft < hard) note(logger, "raise the limit of open files", native.setNofileLimit(hard));
  // The daemon's memory holds file contents of everybody: no core dump, no ptrace by its own user.
  note(logger, "become undumpable", native.setDumpable(false));
  note(logger, "give up new privileges", native.setNoNewPrivileges());
  // The keeper mounts; what else CAP_SYS_ADMIN opens is of no use to a server.
  if (kept) note(logger, "give up mounting", native.forbidMounting());
}

function dropGroups(logger: Logger): void {
  // A server that was started as a user has none, and could not drop any.
  if (process.getgroups?.().every((gid) => gid === process.getegid?.()) === true) return;
  // Without CAP_SETGID nothing is made for others either: such a mount is read-only.
  note(logger, "drop the daemon's own groups", native.dropGroups());
}

function note(logger: Logger, what: string, status: number): void {
  if (status < 0) logger.warn({ errno: errnoName(-status) }, `cannot ${what}`);
}
