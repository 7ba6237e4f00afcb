/** Questions for a person over the control socket: the list, the answers, and who may give them. */
import { readFileSync, readlinkSync } from "node:fs";
import type { PersonAnswer, PersonQuestion, Question } from "@sluice/decision-api";
import type { AskItem } from "@sluice/mount-control";
import { toText } from "@sluice/native";
import type { PersonWait } from "../enforcement/person-waits.js";
import type { MountParts } from "../status/mount-status.js";

const iso = (ms: number | undefined): string | null => (ms === undefined ? null : new Date(ms).toISOString());

function subjectOf({
  subject,
  resource,
  accesses,
  operation,
}: Question): Pick<AskItem, "paths" | "accesses" | "operation" | "uid" | "pid" | "program"> {
  const { uid, pid, executable } = subject;
  return {
    paths: resource.paths.map(toText),
    accesses,
    operation,
    uid: outerUid(uid),
    pid,
    program: executable === undefined ? null : toText(executable),
  };
}

function listedItem(asked: PersonQuestion, mount: string): AskItem {
  const { askId, question, rule, waiting, sinceMs, untilMs, answer, answeredBy } = asked;
  return {
    change: "listed",
    askId,
    mount,
    ...subjectOf(question),
    rule,
    waiting,
    since: iso(sinceMs) ?? "",
    until: iso(untilMs),
    answer: answer ?? null,
    answeredBy: answer === undefined ? null : answeredBy,
  };
}

export function waitItem(
  change: AskItem["change"],
  { askId, question, rule, sinceMs, untilMs, waits }: PersonWait,
  mount: string,
): AskItem {
  return {
    change,
    askId,
    mount,
    ...subjectOf(question),
    rule,
    waiting: waits ? 1 : 0,
    since: iso(sinceMs) ?? "",
    until: waits ? iso(untilMs) : null,
    answer: null,
    answeredBy: null,
  };
}

/** The questions on the lists of all services, and the answers that hold. Callers wait on while no service that has theirs can be reached. */
export async function listAsks({ decider, gate, config }: MountParts): Promise<AskItem[]> {
  const items = new Map<string, AskItem>();
  for (const asked of (await decider.people?.list()) ?? []) items.set(asked.askId, listedItem(asked, config.mountpoint));
  const listed = new Set(items.keys());
  for (const wait of gate.people.all()) {
    const { askId } = wait;
    if (!listed.has(askId)) items.set(askId, oneMore(waitItem("listed", wait, config.mountpoint), items.get(askId)));
  }
  return [...items.values()];
}

function oneMore(item: AskItem, others: AskItem | undefined): AskItem {
  return others === undefined ? item : { ...others, waiting: others.waiting + item.waiting };
}

/** Why a process may not answer, as a sentence; undefined if it may. `pid` and `uid` are those that the kernel names, 0 for a pid outside. */
export function refusedAsInside({ pid, uid }: { pid: number; uid: number }): string | undefined {
  // It cannot be seen from here, so it is not in this namespace, nor in one below: the command of a session is below.
  if (pid === 0) return undefined;
  const here = namespaceOf("self");
  const there = namespaceOf(String(pid));
  if (here !== undefined && there === here) return undefined;
  // A server without privilege may not look at processes of root.
  if (there === undefined && uid === 0 && process.geteuid?.() !== 0) return undefined;
  return "the process that answers is in another pid namespace (EPERM): answer outside of the sandbox";
}

function namespaceOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined;
  }
}

/** The uid outside of this user namespace. */
function outerUid(uid: number): number {
  for (const line of readFileSync("/proc/self/uid_map", "latin1").split("\n")) {
    const [inside = Number.NaN, outside = 0, count = 0] = line.trim().split(/\s+/).map(Number);
    if (uid >= inside && uid < inside + count) return outside + uid - inside;
  }
  return uid;
}

const WAYS = { command: "by sluice answer", terminal: "at the terminal of sluice run" } as const;
export type AnswerWay = keyof typeof WAYS;

/** @throws an error with the reason if the answer is not taken */
export async function answerAsk(
  { decider }: MountParts,
  { askId, answer, way }: { askId: string; answer: PersonAnswer; way: AnswerWay },
  caller: { pid: number; uid: number },
): Promise<void> {
  const inside = refusedAsInside(caller);
  if (inside !== undefined) throw new Error(inside);
  if (decider.people === undefined) throw new Error("this mount has no policy that asks");
  const refused = await decider.people.answer(askId, answer, `uid ${outerUid(caller.uid)} ${WAYS[way]}`);
  if (refused !== undefined) throw new Error(refused);
}
