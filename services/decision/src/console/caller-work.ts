/**
 * The work that a caller of the console brings: a candidate policy, a recorded log. It may be malicious, so a process of its
 * own (caller-worker.ts), which no decision waits for, reads, checks and evaluates it.
 */
import { ALL_ACCESSES, obliged, scopeText } from "@sluice/decision-api";
import { loadPolicy, type Policy, PolicyError, problemLine, questionOf, type Ruling } from "@sluice/policy-backends";
import { z } from "zod";
import type { Change } from "../audit/change-tally.js";
import { type Replay, replayLog } from "../audit/replay-log.js";
import { pathBelowMount } from "../path-below-mount.js";

export type CallName = "ask" | "replay";
/** A question that the caller has described. */
export type Described = Omit<z.infer<typeof asked>, "candidate">;
/** `candidate`: its answer, as the console shows it. */
export interface Asked {
  described: Described;
  candidate: object | null;
}

/** Of rules and paths each: an answer is bounded, whatever the log holds. */
const MAX_SHOWN = 200;
const MAX_TEXT_SHOWN = 4_096;
/** A mistake of the caller; its message is for them. */
export class CallError extends Error {
  override readonly name = "CallError";
}

/** The exit code of the process that says: its output is the message of a `CallError`. */
export const REFUSED = 2;
const MAX_PROBLEMS_SHOWN = 100;
const id = z.number().int().min(0).max(4_294_967_295);
const asked = z.strictObject({
  path: z.string().max(4_096),
  access: z.array(z.enum(ALL_ACCESSES)).min(1).max(ALL_ACCESSES.length),
  uid: id,
  gid: id,
  executable: z.string().max(4_096).optional(),
  candidate: z.string().optional(),
});
const replayed = z.strictObject({ log: z.string(), candidate: z.string() });

function parsed(body: Buffer): unknown {
  try {
    return body.length === 0 ? undefined : JSON.parse(body.toString("utf8"));
  } catch {
    throw new CallError("the request is not JSON");
  }
}

function checked<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new CallError(`${issue?.path.join(".") || "request"}: ${issue?.message ?? "it is wrong"}`);
}

/** Rules alone: a policy of another kind names files and servers, and a caller may not choose those. */
function candidateOf(text: string): Policy {
  try {
    return loadPolicy(Buffer.from(text), "candidate", "candidate").policy;
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    const problems = error.problems.filter(({ severity }) => severity === "error").map((problem) => problemLine("candidate", problem));
    const more = problems.length - MAX_PROBLEMS_SHOWN;
    throw new CallError([...problems.slice(0, MAX_PROBLEMS_SHOWN), ...(more > 0 ? [`and ${more} more`] : [])].join("\n"));
  }
}

export async function rulingOf(policy: Policy, { path, ...described }: Described): Promise<object> {
  const question = questionOf({ ...described, path: [path] }, "console", policy.capabilities);
  return shown(obliged(await policy.evaluate(question), question).enforced);
}

const shown = ({ effect, errno, rule, reason, obligations, scope, hides }: Ruling): object => ({
  effect: hides === true ? "hide" : effect,
  errno,
  rule,
  reason,
  obligations,
  cachedFor: scope === undefined ? "for this question alone" : scopeText(scope.subtree, scope.except),
});

/** People write a slash in front for the root of the mount. */
function pathIn(typed: string): string {
  const { plain, problem } = pathBelowMount(typed.replace(/^\/+/, ""));
  if (problem !== undefined) throw new CallError(`${typed}: ${problem}: write the path below the mount's root`);
  return plain;
}

async function ask(body: unknown): Promise<Asked> {
  const { candidate, path, ...caller } = checked(asked, body);
  const described = { ...caller, path: pathIn(path) };
  return { described, candidate: candidate === undefined ? null : await rulingOf(candidateOf(candidate), described) };
}

async function* linesOf(text: string): AsyncIterable<string> {
  yield* text.split("\n");
}

const cut = (text: string): string => text.slice(0, MAX_TEXT_SHOWN);

function shownChange<Each extends Change>(change: Each): Each {
  const { was, now } = change;
  return { ...change, was: { ...was, rule: cut(was.rule) }, now: { ...now, rule: cut(now.rule) } };
}

async function replay(body: unknown): Promise<Replay> {
  const { log, candidate } = checked(replayed, body);
  const { byRule, byPath, firstFailure, ...counts } = await replayLog(linesOf(log), candidateOf(candidate));
  return {
    ...counts,
    firstFailure: firstFailure === undefined ? undefined : cut(firstFailure),
    byRule: byRule.slice(0, MAX_SHOWN).map(shownChange),
    byPath: byPath.slice(0, MAX_SHOWN).map((change) => ({ ...shownChange(change), path: cut(change.path) })),
  };
}

/** The outcome as JSON: `Asked` or `Replay`. `body`: the request's, as it came. Rejects with `CallError`. */
export async function doWork(call: CallName, body: Buffer): Promise<string> {
  return JSON.stringify(await (call === "ask" ? ask(parsed(body)) : replay(parsed(body))));
}
