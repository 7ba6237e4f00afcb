/** `sluice discard`: removes sessions of `sluice run` with their changes. */
import { becomeOwner, findCheckpoint, openSession, removeCheckpoint, type Session, splitName } from "@sluice/sessions";
import type { Command } from "commander";

async function discard(names: readonly string[]): Promise<void> {
  const { discardSession } = await import("../../review/session-changes.js");
  becomeOwner();
  const sessions = new Map<string, Session>();
  const locked = async (name: string): Promise<Session> => {
    const session = sessions.get(name) ?? openSession(name);
    if (!sessions.has(name)) await session.lock();
    sessions.set(name, session);
    return session;
  };
  const found: { name: string; session: Session; checkpoint: string | undefined }[] = [];
  for (const name of names) {
    const { session: whole, checkpoint } = splitName(name);
    const session = await locked(whole);
    if (checkpoint !== undefined) findCheckpoint(session, checkpoint);
    found.push({ name, session, checkpoint });
  }
  // All of them can be removed: a wrong name leaves every session as it was. Checkpoints go before their sessions.
  const place = ({ checkpoint }: { checkpoint: string | undefined }): number => (checkpoint === undefined ? 1 : 0);
  for (const { name, session, checkpoint } of found.sort((one, other) => place(one) - place(other))) {
    if (checkpoint !== undefined) removeCheckpoint(session, checkpoint);
    process.stderr.write(`${checkpoint === undefined ? await discardSession(session) : `${name}: discarded`}\n`);
  }
  for (const session of sessions.values()) session.close();
}

export function addDiscardCommand(program: Command): void {
  program
    .command("discard")
    .description("remove sessions of 'sluice run', with their changes; the directories they worked on stay as they are")
    .argument(
      "<name...>",
      "as 'sluice sessions' lists them, each removed with its checkpoints; of SESSION@CHECKPOINT only the checkpoint goes",
    )
    .action(discard);
}
