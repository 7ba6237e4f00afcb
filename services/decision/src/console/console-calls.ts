/** What the console's pages ask for. Nothing here changes the policy in force, a mount, or a file. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { ALL_ACCESSES } from "@sluice/decision-api";
import { loadPolicy, type Policy, type PolicyBackend, PolicyError, problemLine, questionOf, type Verdict } from "@sluice/policy-backends";
import { VERSION } from "@sluice/runtime";
import { z } from "zod";
import { type Replay, replayLog } from "../audit/replay-log.js";
import type { Peer } from "../handlers/session.js";

export interface ConsoleParts {
  backend: PolicyBackend;
  /** The policy file, where there is one. */
  policyFile: string | undefined;
  mounts(): Peer[];
}

/** What the asker did wrong; its message is for them. */
export class CallError extends Error {
  override readonly name = "CallError";
}

const MAX_SOURCE_BYTES = 1 << 20;
const MAX_PATHS_SHOWN = 200;
const LINES_A_TURN = 100;
const id = z.number().int().min(0).max(4_294_967_295);
const asked = z.strictObject({
  path: z.string().max(4_096),
  access: z.array(z.enum(ALL_ACCESSES)).min(1),
  uid: id,
  gid: id,
  executable: z.string().max(4_096).optional(),
  candidate: z.string().optional(),
});
const replayed = z.strictObject({ log: z.string(), candidate: z.string() });

function checked<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new CallError(`${issue?.path.join(".") || "request"}: ${issue?.message ?? "it is wrong"}`);
}

/** Rules alone: a policy of another kind names files and servers, and whoever asks here may not choose those. */
function candidateOf(text: string): Policy {
  try {
    return loadPolicy(Buffer.from(text), "candidate", "candidate").policy;
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    const problems = error.problems.filter(({ severity }) => severity === "error").map((problem) => problemLine("candidate", problem));
    throw new CallError(problems.join("\n"));
  }
}

function sourceOf(file: string | undefined): string | null {
  if (file === undefined) return null;
  try {
    const path = statSync(file).isDirectory() ? join(file, "policy.yaml") : file;
    return statSync(path).size > MAX_SOURCE_BYTES ? null : readFileSync(path, "utf8");
  } catch {
    // Being replaced just now, or gone: the policy in force does not need it.
    return null;
  }
}

const text = (bytes: string): string => Buffer.from(bytes, "latin1").toString("utf8");

/** As JSON: names as text, times as ISO 8601, what is not known as null. */
function shownMount({ report, ...peer }: Peer): object {
  if (report === undefined) return { ...peer, report: null };
  const { layers, grants, ...told } = report.told;
  return {
    ...peer,
    report: {
      at: report.at,
      ...told,
      layers: layers.map((layer) => ({ ...layer, stackDepth: layer.stackDepth ?? null })),
      grants: grants.map(({ path, sinceMs, ...grant }) => ({ path: text(path), since: new Date(sinceMs).toISOString(), ...grant })),
    },
  };
}

function stateOf({ backend, policyFile, mounts }: ConsoleParts): object {
  const { policy, failure } = backend;
  const { sequence, digest } = policy.revision;
  return {
    version: VERSION,
    policy: { id: policy.id, kind: backend.name, sequence: sequence.toString(), digest, refusedEdit: failure?.message ?? null },
    source: sourceOf(policyFile),
    mounts: mounts().map(shownMount),
    accesses: ALL_ACCESSES,
  };
}

const shown = ({ effect, errno, rule, reason, obligations, scope }: Verdict): object => ({
  effect,
  errno,
  rule,
  reason,
  obligations,
  kept: scope === undefined ? "for this question alone" : scope.subtree === undefined ? "for this file" : `below '${scope.subtree}/'`,
});

async function ask(parts: ConsoleParts, body: unknown): Promise<object> {
  const { candidate, path, ...described } = checked(asked, body);
  const verdictOf = async (policy: Policy): Promise<object> => {
    const question = questionOf({ ...described, path: [path.replace(/^\/+/, "")] }, "console", policy.capabilities);
    return shown(await policy.evaluate(question));
  };
  const { policy } = parts.backend;
  return {
    inForce: await verdictOf(policy),
    candidate: candidate === undefined ? null : await verdictOf(candidateOf(candidate)),
    source: sourceOf(parts.policyFile),
  };
}

/** Between some of them whoever else asks has his turn: mounts wait for their decisions in the same process. */
async function* linesOf(text: string): AsyncIterable<string> {
  for (const [index, line] of text.split("\n").entries()) {
    if (index % LINES_A_TURN === 0) await turn();
    yield line;
  }
}

async function replay(_parts: ConsoleParts, body: unknown): Promise<Replay> {
  const { log, candidate } = checked(replayed, body);
  const found = await replayLog(linesOf(log), candidateOf(candidate));
  return { ...found, byPath: found.byPath.slice(0, MAX_PATHS_SHOWN) };
}

export type Call = (parts: ConsoleParts, body: unknown) => object | Promise<object>;
export const CALLS: Readonly<Record<string, Call>> = { "GET state": stateOf, "POST ask": ask, "POST replay": replay };
