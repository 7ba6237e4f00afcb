/** The changes of a session, for the commands that show, apply and undo them. */
import { existsSync } from "node:fs";
import {
  appliedStates,
  type Difference,
  type Differences,
  forgetUndo,
  hasApply,
  type Place,
  recoverApply,
  reviewLayers,
  selectorOf,
} from "@sluice/changes";
import { LayerStack, openTree } from "@sluice/layer-tools";
import { escapeTextName, wrong } from "@sluice/runtime/cli";
import { listSessions, type Session } from "@sluice/sessions";

/** Undefined if there is no such session. @throws CliError if it cannot be used */
export function findSession(name: string): Session | undefined {
  let found: Session | Error | undefined;
  for (const { name: other, session } of listSessions()) {
    if (other === name) found = session;
    else if (!(session instanceof Error)) session.close();
  }
  if (found instanceof Error) throw found;
  return found;
}

export function placeOf(session: Session): Place {
  const directory = { fd: session.fd, path: session.directory };
  const base = openTree(session.base, session.record.userXattr);
  return { name: session.name, base, upper: session.openLayer("upper"), directory };
}

/** Ends an apply or undo that was killed. The session is locked. @throws CliError */
export function recover(place: Place): void {
  const recovery = recoverApply(place);
  if (recovery !== undefined) process.stderr.write(`sluice: ${place.name}: an interrupted command was ended: ${recovery}\n`);
}

/** Before a command runs in a session again: its layers are not changed under it. The session is locked. @throws CliError */
export function recoverSession(session: Session): void {
  if (hasApply({ directory: { fd: session.fd, path: session.directory } })) recover(placeOf(session));
}

/** Before a session is removed: nothing of it stays in its directory, which may be gone. The session is locked. @throws CliError */
export function forgetSession(session: Session): void {
  if (!existsSync(session.base) || !hasApply({ directory: { fd: session.fd, path: session.directory } })) return;
  const place = placeOf(session);
  recover(place);
  forgetUndo(place);
}

export interface Review {
  stack: LayerStack;
  all: Differences;
  selected: Difference[];
}

/** @param words paths and `!patterns`. @throws CliError, also if they select nothing though there are changes */
export function review(
  stack: LayerStack,
  base: string,
  words: readonly string[],
  applied?: ReadonlyMap<string, ReadonlySet<string>>,
): Review {
  const isSelected = selectorOf(base, words);
  const all = reviewLayers(stack, applied);
  const selected = all.list.filter(({ path }) => isSelected(path));
  if (selected.length === 0 && all.list.length > 0)
    throw wrong(words.map(escapeTextName).join(" "), "no change has such a path", "see 'sluice diff' without paths");
  return { stack, all, selected };
}

export function reviewSession(place: Place, words: readonly string[]): Review {
  return review(new LayerStack([place.upper, place.base]), place.base.path, words, appliedStates(place));
}
