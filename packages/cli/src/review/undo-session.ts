/** The work of `sluice undo`. */
import { appliedAt, undoApply, type Undone } from "@sluice/changes";
import { CliError, counted, escapeName, escapeTextName, EXIT, unfit } from "@sluice/runtime/cli";
import { becomeOwner, listSessions, openSession, type Session } from "@sluice/sessions";
import { recoverSession, soleUpper } from "./session-changes.js";

/** The session with the latest apply. @throws CliError */
function lastApplied(): Session {
  let last: { session: Session; at: number } | undefined;
  for (const { session } of listSessions({ discarded: true })) {
    if (session instanceof Error) continue;
    const at = appliedAt({ directory: { fd: session.fd, path: session.directory } });
    if (at === undefined || at < (last?.at ?? 0)) {
      session.close();
      continue;
    }
    last?.session.close();
    last = { session, at };
  }
  if (last === undefined) throw unfit("undo", "nothing was applied, or it was undone", "see 'sluice sessions'");
  return last.session;
}

function refuse({ name }: Session, { changed, writers }: Extract<Undone, { done: false }>): never {
  const held = [...writers].filter(([path]) => !changed.includes(path));
  for (const path of changed) process.stderr.write(`${escapeName(path)} [changed since]\n`);
  for (const [path, writer] of held) process.stderr.write(`${escapeName(path)} [${writer}]\n`);
  throw new CliError({
    object: name,
    problem:
      changed.length > 0
        ? `${changed.length} of the applied files changed since: nothing was undone`
        : `programs write ${held.length} of the applied files: nothing was undone`,
    remedy:
      changed.length > 0
        ? `to keep these and undo the rest, run: sluice undo --skip-changed ${name}`
        : "end the programs, and run the command again",
    exitCode: EXIT.CONFLICT,
  });
}

function tell({ base, name }: Session, what: string, wasDiscarded: boolean): void {
  process.stdout.write(`undone in ${escapeTextName(base)}: ${what} of session ${name}${wasDiscarded ? ", which is there again" : ""}\n`);
}

function tellOfFiles({ newer, regrouped, removed, stuck }: Extract<Undone, { done: true }>): void {
  const say = (path: string, what: string): void => void process.stderr.write(`sluice: ${escapeName(path)}: ${what}\n`);
  for (const path of newer) say(path, "the session has a newer change, and keeps that one");
  for (const path of regrouped) say(path, "it keeps the group that the apply gave it, since you are not in its former one");
  for (const path of removed) say(path, "it was removed since the apply");
  for (const { path, former } of stuck)
    say(path, `it changed since, and stays${former === undefined ? "" : `; the file from before the apply is ${escapeName(former)}`}`);
}

export async function undo(name: string | undefined, { skipChanged = false }: { skipChanged?: boolean }): Promise<void> {
  becomeOwner();
  const session = name === undefined ? lastApplied() : openSession(name, { discarded: true });
  await session.lock();
  const wasDiscarded = session.record.discarded;
  // Before the directory changes: if this is killed, other commands find the session and recover it.
  if (wasDiscarded) session.setDiscarded(false);
  const recovery = recoverSession(session);
  // That was the last apply: an earlier one stays.
  if (recovery === "apply undone" || recovery === "undo finished") return tell(session, "the last apply", wasDiscarded);
  const undone = undoApply(await soleUpper(session), { skipChanged });
  if (!undone.done) {
    if (wasDiscarded) session.setDiscarded(true);
    refuse(session, undone);
  }
  tellOfFiles(undone);
  tell(session, counted(undone.paths, "path"), wasDiscarded);
}
