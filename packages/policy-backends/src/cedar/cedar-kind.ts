/** `kind: cedar`: Cedar policies, evaluated here, in threads with a time budget. The facts they look at are known, so answers are cached. */
import {
  type Access,
  ALL_ACCESSES,
  type CacheScope,
  NO_SUBTREE,
  type Question,
  type ResourceFact,
  type SubjectField,
} from "@sluice/decision-api";
import { z } from "zod";
import type { Ruling } from "../backend.js";
import { DEFAULT_HEAD_BYTES, HEAD_BYTES_REMEDY, headBytesSchema } from "../document/head-bytes.js";
import { positionAt } from "../document/position.js";
import { durationMs, durationSchema } from "../document/duration.js";
import type { Engine, HideRule, LoadContext, LooksAt, PolicyKind } from "../policy-kind.js";
import { PolicyError, type PolicyProblem } from "../rules/problem.js";
import { askTwoQuestions, type BooleanQuestion, label, type Reply } from "../two-questions.js";
import { WorkerError, WorkerPool } from "../worker/worker-pool.js";
import { builtInSchema } from "./built-in-schema.js";
import { type Entity, requestsOf } from "./cedar-request.js";
import type { CedarUses } from "./cedar-uses.js";
import { unknownFacts } from "../unknown-facts.js";
import type { CedarAnswer, CedarMistake, CedarReady, CedarSetup } from "./cedar-worker.js";

const fileNames = z.preprocess((value) => (typeof value === "string" ? [value] : value), z.array(z.string().min(1)).min(1).max(100));

const schema = z.strictObject({
  kind: z.literal("cedar"),
  revision: z.number().int().min(0).optional(),
  policies: fileNames,
  schema: z.string().min(1).optional(),
  entities: z.string().min(1).optional(),
  xattrs: z.array(z.string().min(1).max(255)).max(64).optional(),
  labels: z.array(z.string().min(1).max(63)).max(32).optional(),
  headBytes: headBytesSchema.optional(),
  timeBudget: durationSchema.optional(),
  threads: z.number().int().min(1).max(16).optional(),
});
type CedarOptions = z.infer<typeof schema>;

const PROGRAM = new URL("../../dist/cedar/cedar-worker.js", import.meta.url);
const DEFAULT_BUDGET_MS = 1_000;
const SETUP_BUDGET_MS = 30_000;
const DEFAULT_THREADS = 2;

const entityId = z.strictObject({ type: z.string(), id: z.string() });
const entityList = z.array(
  z.strictObject({
    uid: entityId,
    attrs: z.record(z.string(), z.unknown()).default({}),
    parents: z.array(entityId).default([]),
  }),
);

function readEntities(name: string, context: LoadContext): Entity[] {
  const wrong = (problem: string): Error =>
    context.problem(["entities"], `'${name}': ${problem}`, 'write [{"uid": {"type": "User", "id": "1000"}, "parents": […], "attrs": {…}}]');
  // Cedar would read another character.
  const whole = (text: string): void => {
    if (/\p{Surrogate}/u.test(text)) throw wrong(`${JSON.stringify(text)} holds half of a character`);
  };
  let value: unknown;
  try {
    value = JSON.parse(context.readText(name, ["entities"]), (key, item: unknown) => {
      whole(key);
      if (typeof item === "string") whole(item);
      return item;
    });
  } catch (error) {
    if (error instanceof PolicyError) throw error;
    throw wrong("it is not JSON");
  }
  const checked = entityList.safeParse(value);
  if (!checked.success) throw wrong(`it is no list of entities, at '${checked.error.issues[0]?.path.join(".") ?? ""}'`);
  // Only the last one would hold: a group of the other, which a policy forbids, would be lost.
  const seen = new Set<string>();
  for (const { uid } of checked.data) {
    const name = `${uid.type}::${JSON.stringify(uid.id)}`;
    if (seen.has(name)) throw wrong(`${name} is there twice`);
    seen.add(name);
  }
  return checked.data;
}

function setupOf(options: CedarOptions, context: LoadContext): CedarSetup {
  const files = options.policies.map((name, index) => ({ name, text: context.readText(name, ["policies", index]) }));
  const text = options.schema === undefined ? undefined : context.readText(options.schema, ["schema"]);
  const entities = options.entities === undefined ? [] : readEntities(options.entities, context);
  return { files, schema: text ?? builtInSchema(options.xattrs ?? [], options.labels), entities };
}

function problemsOf(mistakes: readonly CedarMistake[], setup: CedarSetup, severity: PolicyProblem["severity"]): PolicyProblem[] {
  return mistakes.map(({ file, offset, message, help }) => {
    const text = setup.files.find(({ name }) => name === file)?.text;
    const position = text === undefined || offset === undefined ? { line: 1, column: 1 } : positionAt(text, offset);
    return { severity, ...position, message: message.replace(/\s+/g, " "), remedy: help === "" ? "see Cedar's documentation" : help };
  });
}

function warningsOf(warnings: readonly CedarMistake[], setup: CedarSetup, context: LoadContext): PolicyProblem[] {
  return warnings.flatMap((warning) => {
    const file = warning.file === undefined ? context.file : context.resolve(warning.file);
    return problemsOf([warning], setup, "warning").map((problem) => ({ file, ...problem }));
  });
}

/** A policy file that does not check, with its mistakes at their places in it. */
function refusal(error: unknown, setup: CedarSetup, context: LoadContext): Error {
  if (!(error instanceof WorkerError)) return error instanceof Error ? error : new Error(String(error));
  if (!Array.isArray(error.data)) return context.problem(["policies"], error.message, "make the policies smaller and simpler");
  const mistakes = error.data as CedarMistake[];
  const file = mistakes[0]?.file;
  return new PolicyError(file === undefined ? context.file : context.resolve(file), problemsOf(mistakes, setup, "error"), { cause: error });
}

const FACT_OF: Readonly<Record<string, ResourceFact>> = {
  layer: "layer",
  kind: "kind",
  size: "size",
  mode: "mode",
  head: "content",
  digest: "digest",
};

/** `uid` is always looked at: it is the caller's name. Attributes are not told apart by whose they are. */
function scopePartsOf(uses: CedarUses, xattrs: readonly string[]): Pick<CacheScope, "subject" | "resource" | "xattrs"> {
  const mentioned = new Set(uses.attributes);
  const subject: SubjectField[] = ["uid"];
  if (uses.groups) subject.push("gid", "groups");
  else if (mentioned.has("gid")) subject.push("gid");
  if (mentioned.has("executable")) subject.push("executable");
  if (mentioned.has("cgroup")) subject.push("cgroup");
  const resource = Object.entries(FACT_OF).flatMap(([name, fact]) => (mentioned.has(name) ? [fact] : []));
  if (mentioned.has("uid") || mentioned.has("gid")) resource.push("owner");
  return { subject, resource, xattrs };
}

function looksAtOf(uses: CedarUses, { xattrs = [], headBytes = DEFAULT_HEAD_BYTES }: CedarOptions, asks: boolean): LooksAt {
  const mentioned = new Set(uses.attributes);
  return {
    accesses: new Set<Access>(ALL_ACCESSES),
    needsGroups: uses.groups,
    needsExecutable: asks || mentioned.has("executable"),
    needsCgroup: mentioned.has("cgroup"),
    xattrs,
    headBytes: mentioned.has("head") ? headBytes : 0,
    needsDigest: mentioned.has("digest"),
    callerRules: ["cedar"],
    ...(asks ? { asks } : {}),
  };
}

/** A fact that was not sent: as questions name it, and how policies mention it. */
interface UnknownFact {
  name: string;
  mentionedBy(policy: CedarUses["policies"][number]): boolean;
}

function unknownFact(name: string): UnknownFact {
  if (name === "subject.groups") return { name, mentionedBy: ({ groups }) => groups };
  // Every policy asks for the principal.
  if (name === "subject.uid") return { name, mentionedBy: () => true };
  const attribute = name.replace(/^(subject|resource\.xattr|resource)\./, "");
  return { name, mentionedBy: ({ attributes }) => attributes.includes(attribute) };
}

class CedarEngine implements Engine {
  readonly looksAt: LooksAt;
  readonly ruleCount: number;
  readonly hides: readonly HideRule[];
  private readonly uses: CedarUses;
  private readonly directories: ReadonlySet<string>;
  private readonly policies: ReadonlyMap<string, CedarUses["policies"][number]>;
  private readonly scope: Pick<CacheScope, "subject" | "resource" | "xattrs">;

  constructor(
    private readonly pool: WorkerPool,
    { uses, hides, asks }: CedarReady,
    private readonly options: CedarOptions,
    readonly warnings: readonly PolicyProblem[],
  ) {
    this.uses = uses;
    this.hides = hides.map(({ rule, globs }) => ({ rule: label(rule, "hide"), globs }));
    this.directories = new Set(uses.directories);
    this.policies = new Map(uses.policies.map((policy) => [policy.id, policy]));
    this.looksAt = looksAtOf(uses, options, asks.length > 0);
    this.scope = scopePartsOf(uses, this.looksAt.xattrs);
    this.ruleCount = uses.policies.length + hides.length;
  }

  async evaluate(question: Question): Promise<Ruling> {
    const unknown = unknownFacts(question, this.looksAt).map(unknownFact);
    const ruling = await askTwoQuestions(question, (asks) => this.askAll(question, asks, unknown));
    if (unknown.length > 0) return ruling;
    return { ...ruling, scope: { ...NO_SUBTREE, ...this.scope, accesses: question.accesses, ttlMs: undefined } };
  }

  private async askAll(question: Question, asks: readonly BooleanQuestion[], unknown: readonly UnknownFact[]): Promise<readonly Reply[]> {
    const { directories, looksAt: content, uses, options } = this;
    const requests = requestsOf(question, asks, { directories, groups: uses.groups, labels: options.labels ?? [], content });
    const answers = (await this.pool.run(requests)) as CedarAnswer[];
    return answers.map((answer) => this.forWantOf(unknown, answer) ?? this.replyOf(answer));
  }

  /** The effect of an unknown fact on an answer: a forbidding policy is taken to match, and a permitting one not to. */
  private forWantOf(unknown: readonly UnknownFact[], { allowed, reason, errors }: CedarAnswer): Reply | undefined {
    const failed = errors.find(({ id }) => this.policies.get(id)?.forbids === true);
    if (failed !== undefined) return denial(failed.id, `it cannot be evaluated: ${failed.message}`);
    // A policy forbids it already.
    if (!allowed && reason.length > 0) return undefined;
    for (const fact of unknown) {
      const forbids = this.uses.policies.find((policy) => policy.forbids && fact.mentionedBy(policy));
      if (forbids !== undefined) return denial(forbids.id, `${fact.name} is missing`);
    }
    const isUnsure = (policy: CedarUses["policies"][number]): boolean => unknown.some((fact) => fact.mentionedBy(policy));
    const sure = reason.some((id) => !isUnsure(this.policies.get(id) as CedarUses["policies"][number]));
    const may = sure ? undefined : this.uses.policies.find((policy) => !policy.forbids && isUnsure(policy));
    if (may === undefined) return undefined;
    const missing = unknown.map(({ name }) => name).join(", ");
    return { kind: "none", reason: `no policy permits it for sure: ${missing} is missing`, mayPermit: may.id };
  }

  private replyOf({ allowed, reason, errors, asks }: CedarAnswer): Reply {
    if (asks !== undefined) return { kind: "effect", effect: "ask", rule: asks, reason: `policy '${asks}' asks a person` };
    const [rule] = [...reason].sort();
    if (rule !== undefined) return { kind: "boolean", allowed, rule, reason: `policy '${rule}' ${allowed ? "permits" : "forbids"} it` };
    const [failed] = errors;
    const why = failed === undefined ? "no policy permits it" : `no policy permits it: ${failed.message}`;
    return { kind: "none", reason: why, mayPermit: failed?.id };
  }

  dispose(): Promise<void> {
    return this.pool.close();
  }
}

function denial(rule: string, why: string): Reply {
  return { kind: "boolean", allowed: false, rule, reason: `policy '${rule}' is taken, since ${why}` };
}

export const cedarKind: PolicyKind<CedarOptions> = {
  name: "cedar",
  schema,
  words: {
    keysAt: (path) => (path.length === 0 ? Object.keys(schema.shape) : []),
    remedies: {
      policies: "write the name of a file of Cedar policies, or a list of names",
      schema: "write the name of a file with a Cedar schema, or leave it out for the built-in one",
      entities: "write the name of a JSON file with entities",
      xattrs: "write a list of names such as [user.class]",
      labels: "write a list of names such as [pod.namespace]",
      headBytes: HEAD_BYTES_REMEDY,
      timeBudget: "write a whole number and ms, s, m or h, such as 500ms",
      threads: "write a whole number from 1 to 16",
      revision: "write a whole number that grows with each edit",
    },
  },
  async load(options, context) {
    const setup = setupOf(options, context);
    const budgetMs = options.timeBudget === undefined ? DEFAULT_BUDGET_MS : durationMs(options.timeBudget);
    const threads = options.threads ?? DEFAULT_THREADS;
    try {
      const { pool, output } = await WorkerPool.open({ program: PROGRAM, setup, threads, budgetMs, setupBudgetMs: SETUP_BUDGET_MS });
      const ready = output as CedarReady;
      return new CedarEngine(pool, ready, options, warningsOf(ready.warnings, setup, context));
    } catch (error) {
      throw refusal(error, setup, context);
    }
  },
};
