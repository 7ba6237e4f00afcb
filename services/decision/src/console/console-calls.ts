/** The calls of the console's pages. Nothing here changes the policy in force, a mount, or a file. */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { ALL_ACCESSES, type PolicyRevision } from "@sluice/decision-api";
import type { PolicyBackend } from "@sluice/policy-backends";
import { VERSION } from "@sluice/runtime";
import type { Peer } from "../handlers/session.js";
import type { PersonDesk } from "../people/person-desk.js";
import type { ActivityHistory } from "./activity-history.js";
import { type Asked, type CallName, rulingOf } from "./caller-work.js";
import { answered, MAX_ANSWER_BYTES, shownQuestion } from "./person-calls.js";

export interface ConsoleParts {
  backend: PolicyBackend;
  /** The policy file, if there is one. */
  policyFile: string | undefined;
  mounts(): Peer[];
  /** For the next seconds mounts measure what they measure only while somebody looks. */
  lookAtMounts(): void;
  history: ActivityHistory;
  startedMs: number;
  desk: PersonDesk;
  /** The console asks for a token. */
  hasToken: boolean;
  /** How long a call may work on its input, in seconds. */
  callBudgetS?: number | undefined;
  /** The module that works on them. */
  callProgram?: string | undefined;
}

/** A larger one takes too long to be put into an answer. */
const MAX_SOURCE_BYTES = 256 << 10;

async function sourceOf(file: string | undefined): Promise<string | null> {
  if (file === undefined) return null;
  try {
    const path = (await stat(file)).isDirectory() ? join(file, "policy.yaml") : file;
    return (await stat(path)).size > MAX_SOURCE_BYTES ? null : await readFile(path, "utf8");
  } catch {
    // Being replaced just now, or gone: the policy in force does not need it.
    return null;
  }
}

const text = (bytes: string): string => Buffer.from(bytes, "latin1").toString("utf8");

const shownRevision = (revision: PolicyRevision | undefined): object | null =>
  revision === undefined ? null : { sequence: revision.sequence.toString(), digest: revision.digest };

/** As JSON: names as text, times as ISO 8601, unknown values as null. Counts are those of the work between the last two reports. */
function shownMount({ report, ...peer }: Peer): object {
  if (report === undefined) return { ...peer, report: null };
  const { atMs, work } = report;
  const { layers, grants, replicas, server, operations: _, opens: _opens, readBytes: _read, writtenBytes: _written, ...told } = report.told;
  return {
    ...peer,
    report: {
      at: new Date(atMs).toISOString(),
      ageMs: Math.max(0, Date.now() - atMs),
      ...told,
      layers: layers.map((layer) => ({ ...layer, stackDepth: layer.stackDepth ?? null })),
      grants: grants.map(({ path, sinceMs, ...grant }) => ({ path: text(path), since: new Date(sinceMs).toISOString(), ...grant })),
      replicas: replicas.map(({ revision, ...replica }) => ({ ...replica, revision: shownRevision(revision) })),
      server: server === undefined ? null : { ...server, queued: server.queued ?? null },
      work:
        work === undefined ? null : { ...work, operations: work.operations.map((each) => ({ ...each, worstUs: each.worstUs ?? null })) },
    },
  };
}

async function stateOf({ backend, policyFile, mounts, desk, hasToken, startedMs }: ConsoleParts): Promise<object> {
  const source = await sourceOf(policyFile);
  const { policy, failure } = backend;
  const { sequence, digest } = policy.revision;
  return {
    version: VERSION,
    upS: Math.floor((Date.now() - startedMs) / 1000),
    policy: { id: policy.id, kind: backend.name, sequence: sequence.toString(), digest, refusedEdit: failure?.message ?? null },
    source,
    mounts: mounts().map(shownMount),
    accesses: ALL_ACCESSES,
    questions: desk.list().map(shownQuestion),
    mayAnswer: hasToken,
  };
}

/** The policy in force is asked here, as for a mount's question. */
async function asked({ backend, policyFile }: ConsoleParts, { described, candidate }: Asked): Promise<object> {
  const inForce = await rulingOf(backend.policy, described);
  return { inForce, candidate, source: await sourceOf(policyFile) };
}

export interface Call {
  /** The work of a separate process with the call's body; undefined: it has no body. */
  work?: { name: CallName; maxBodyBytes: number };
  /** The call has a body that takes no work. */
  body?: { maxBytes: number };
  /** As JSON. `outcome`: of the work, or the body. */
  answer(parts: ConsoleParts, outcome: string): Promise<string>;
}

/** A policy is smaller, but takes more characters in JSON. */
const MAX_CANDIDATE_BYTES = 8 << 20;
const MAX_LOG_BYTES = 32 << 20;

/** Of the overview, by the name in its path. */
const RANGES_MS = { "5m": 300_000, "1h": 3_600_000, "6h": 21_600_000, "24h": 86_400_000 } as const;

const OVERVIEWS = Object.entries(RANGES_MS).map(([name, rangeMs]): [string, Call] => [
  `GET overview/${name}`,
  { answer: async ({ history }) => JSON.stringify(history.overview(rangeMs, Date.now())) },
]);

export const CALLS: Readonly<Record<string, Call>> = {
  ...Object.fromEntries(OVERVIEWS),
  "GET state": {
    answer: async (parts) => {
      parts.lookAtMounts();
      return JSON.stringify(await stateOf(parts));
    },
  },
  "POST answer": { body: { maxBytes: MAX_ANSWER_BYTES }, answer: (parts, body) => Promise.resolve(answered(parts, body)) },
  "POST ask": {
    work: { name: "ask", maxBodyBytes: MAX_CANDIDATE_BYTES },
    answer: async (parts, outcome) => JSON.stringify(await asked(parts, JSON.parse(outcome) as Asked)),
  },
  "POST replay": { work: { name: "replay", maxBodyBytes: MAX_LOG_BYTES }, answer: (_parts, outcome) => Promise.resolve(outcome) },
};
