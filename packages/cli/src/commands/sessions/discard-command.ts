/** `sluice discard`: removes sessions of `sluice run` with their changes. */
import { openSession, removeSession } from "@sluice/sessions";
import type { Command } from "commander";

async function discard(names: readonly string[]): Promise<void> {
  const { forgetSession } = await import("../../review/session-changes.js");
  const sessions = names.map((name) => {
    const session = openSession(name);
    session.lock();
    return session;
  });
  // All of them can be removed: a wrong name leaves every session as it was.
  for (const session of sessions) {
    forgetSession(session);
    removeSession(session);
    session.close();
    process.stderr.write(`${session.name}: discarded\n`);
  }
}

export function addDiscardCommand(program: Command): void {
  program
    .command("discard")
    .description("remove sessions of 'sluice run', with their changes; the directories they worked on stay as they are")
    .argument("<name...>", "as 'sluice sessions' lists them")
    .action(discard);
}
