/** Hardens the daemon's own process before it serves anybody. */
import { closeSync, readdirSync } from "node:fs";
import { native } from "@sluice/native";
import type { Logger } from "@sluice/runtime";
import { errnoName } from "@sluice/vfs";

const STDERR = 2;
/** By default each of them ends the process, and its mounts would stay without a server. Node ignores SIGXFSZ itself. */
const STRAY = ["SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGIO", "SIGPWR", "SIGSTKFLT", "SIGXCPU"] as const;

export interface Hardening {
  hasKeeper: boolean;
  /** Inherited descriptors that this process uses. */
  keep?: readonly number[];
}

/**
 * Call it once, before there are descriptors without close-on-exec. A failure is logged, not fatal: each of these is a second line of
 * defence.
 */
export function hardenProcess(logger: Logger, { hasKeeper, keep = [] }: Hardening): void {
  closeInherited(keep);
  for (const signal of STRAY) process.on(signal, () => undefined);
  // Modes of created files are the caller's business; a mask of ours would be applied on top of theirs.
  native.umask(0);
  // A mount must not hold the directory it was started in.
  process.chdir("/");
  // The caller's groups decide whether setgid stays on a new file; the daemon's own must not add to them.
  dropGroups(logger);
  const { soft, hard } = native.nofileLimit();
  if (soft < hard) note(logger, "raise the limit of open files", native.setNofileLimit(hard));
  // The daemon's memory holds file contents of everybody: no core dump, no ptrace by its own user.
  note(logger, "become undumpable", native.setDumpable(false));
  note(logger, "give up new privileges", native.setNoNewPrivileges());
  // The keeper mounts; a server has no use for the rest of CAP_SYS_ADMIN.
  if (hasKeeper) note(logger, "give up mounting", native.forbidMounting());
}

/**
 * Closes descriptors that the parent left open by mistake: they would keep their files and mounts busy as long as this process runs, and
 * its child would inherit them. Node opens its own descriptors close-on-exec, so the others are inherited.
 */
export function closeInherited(keep: readonly number[] = []): void {
  // Node's own channel to a parent that forked it.
  const channel = Number(process.env["NODE_CHANNEL_FD"] ?? -1);
  for (const fd of readdirSync("/proc/self/fd").map(Number)) {
    if (fd <= STDERR || fd === channel || keep.includes(fd)) continue;
    // Negative for the listing's own descriptor, which has been closed meanwhile.
    if (native.descriptorFlags(fd) === 0) closeSync(fd);
  }
}

function dropGroups(logger: Logger): void {
  // A server that runs as its only caller has the caller's groups, and could not drop any.
  if (process.geteuid?.() !== 0) return;
  if (process.getgroups?.().every((gid) => gid === process.getegid?.()) === true) return;
  // Without CAP_SETGID nothing is created for others either: such a mount is read-only.
  note(logger, "drop the daemon's own groups", native.dropGroups());
}

function note(logger: Logger, what: string, status: number): void {
  if (status < 0) logger.warn({ errno: errnoName(-status) }, `cannot ${what}`);
}
