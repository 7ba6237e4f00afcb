/** `kind: authzen`: any policy decision point that speaks OpenID AuthZEN 1.0, asked over HTTP. */
import type { Obligation } from "@sluice/decision-api";
import { z } from "zod";
import { factsOf } from "../facts.js";
import type { LoadContext, PolicyKind } from "../policy-kind.js";
import { JsonClient } from "../remote/json-client.js";
import { remoteEngine } from "../remote/remote-engine.js";
import { HTTP_SHAPE, looksAtOf, NEEDS_KEYS, REMOTE_REMEDIES, secretsOf, timeoutMsOf } from "../remote/remote-options.js";
import { compileTemplate, type Fill, TemplateError, textOf } from "../remote/template.js";
import type { Reply } from "../two-questions.js";
import { type Endpoints, type EvaluationAnswer, Evaluations } from "./evaluations.js";

const properties = z.record(z.string(), z.unknown());
const entity = z.strictObject({ type: z.string().min(1).optional(), id: z.string().min(1).optional(), properties: properties.optional() });
const action = z.strictObject({ name: z.string().min(1).optional(), properties: properties.optional() });

const schema = z.strictObject({
  kind: z.literal("authzen"),
  ...HTTP_SHAPE,
  /** Endpoints as the point itself says. */
  discover: z.boolean().optional(),
  subject: entity.optional(),
  action: action.optional(),
  resource: entity.optional(),
  context: properties.optional(),
});
type AuthzenOptions = z.infer<typeof schema>;

const hole = (name: string): string => `\${${name}}`;
const holes = (prefix: string, names: readonly string[]): Record<string, string> =>
  Object.fromEntries(names.map((name) => [name, hole(`${prefix}.${name}`)]));

const DEFAULTS = {
  subject: { type: "user", id: hole("subject.uid"), properties: holes("subject", ["uid", "gid", "groups", "executable", "cgroup"]) },
  action: { name: hole("action"), properties: { access: hole("access") } },
  resource: {
    type: "file",
    // Never empty, as some require: the root of the mount is "/".
    id: `/${hole("resource.path")}`,
    properties: holes("resource", [
      "path",
      "name",
      "mount",
      "layer",
      "kind",
      "size",
      "mode",
      "uid",
      "gid",
      "xattr",
      "label",
      "head",
      "digest",
    ]),
  },
  context: { access: hole("access") },
};
const PARTS = ["subject", "action", "resource", "context"] as const;
type Fills = Record<(typeof PARTS)[number], Fill>;

/** Ids and names are texts, whatever fact they come of. */
function withTexts(part: unknown): unknown {
  if (typeof part !== "object" || part === null) return part;
  const { id, name } = part as { id?: unknown; name?: unknown };
  return { ...part, ...(id === undefined ? {} : { id: textOf(id) }), ...(name === undefined ? {} : { name: textOf(name) }) };
}

function fillsOf(options: AuthzenOptions, context: LoadContext): Fills {
  const compile = (part: (typeof PARTS)[number]): Fill => {
    try {
      const template = part === "context" ? (options.context ?? DEFAULTS.context) : { ...DEFAULTS[part], ...options[part] };
      const fill = compileTemplate(template);
      return part === "context" ? fill : (facts) => withTexts(fill(facts));
    } catch (error) {
      if (error instanceof TemplateError) throw context.problem([part], error.message, error.remedy);
      throw error;
    }
  };
  return { subject: compile("subject"), action: compile("action"), resource: compile("resource"), context: compile("context") };
}

const DEFAULT_ENDPOINTS: Endpoints = { evaluation: "/access/v1/evaluation", evaluations: "/access/v1/evaluations" };

/** A decision point that names itself differently is not believed: its answers could be anybody's. */
async function discovered(client: JsonClient, options: AuthzenOptions, context: LoadContext): Promise<Endpoints> {
  const wrong = (problem: string): Error =>
    context.problem(["discover"], problem, "leave 'discover' out, or repair the policy decision point");
  const { status, body } = await client.send("/.well-known/authzen-configuration", undefined).catch((error: Error) => {
    throw wrong(error.message);
  });
  const found = body as
    | Partial<Record<"policy_decision_point" | "access_evaluation_endpoint" | "access_evaluations_endpoint", string>>
    | undefined;
  if (status !== 200 || typeof found?.access_evaluation_endpoint !== "string")
    throw wrong(`its configuration cannot be had (HTTP ${status})`);
  const itself = options.url.replace(/\/$/, "");
  if (options.url.startsWith("http") && found.policy_decision_point?.replace(/\/$/, "") !== itself)
    throw wrong(`it says that it is '${String(found.policy_decision_point).slice(0, 200)}', not '${itself}'`);
  const pathOf = (url: string): string => new URL(url, "http://localhost").pathname;
  const evaluations = found.access_evaluations_endpoint;
  return { evaluation: pathOf(found.access_evaluation_endpoint), evaluations: evaluations === undefined ? undefined : pathOf(evaluations) };
}

/** Of the obligations profile: one of type "sluice" has ours as properties; any other is one that the mount does not know, and denies. */
function obligationsOf(context: unknown): readonly Obligation[] {
  const listed = (context as { obligations?: unknown } | undefined)?.obligations;
  if (listed === undefined || listed === null) return [];
  if (!Array.isArray(listed)) throw new Error("the policy decision point answered with 'obligations' that are no list");
  return listed.flatMap((each: { type?: unknown; properties?: unknown }): Obligation[] => {
    const own = each?.type === "sluice" && typeof each.properties === "object" && each.properties !== null;
    if (!own)
      return [{ name: textOf(each?.type ?? "unknown").slice(0, 100), value: JSON.stringify(each?.properties ?? {}).slice(0, 1000) }];
    return Object.entries(each.properties as Record<string, unknown>).map(([name, value]) => ({ name, value: String(value) }));
  });
}

function replyOf({ decision, context }: EvaluationAnswer): Reply {
  const said = (context ?? {}) as { reason_admin?: unknown; reason?: unknown; error?: { message?: unknown }; rule?: unknown };
  const reason = [said.reason, said.reason_admin, said.error?.message].find((each) => each !== undefined);
  return {
    kind: "boolean",
    allowed: decision,
    rule: typeof said.rule === "string" ? said.rule : undefined,
    reason: reason === undefined ? undefined : typeof reason === "string" ? reason : JSON.stringify(reason),
    obligations: obligationsOf(context),
  };
}

export const authzenKind: PolicyKind<AuthzenOptions> = {
  name: "authzen",
  schema,
  words: {
    keysAt(path) {
      if (path.length === 0) return Object.keys(schema.shape);
      if (path[0] === "needs") return NEEDS_KEYS;
      return path[0] === "action" ? Object.keys(action.shape) : Object.keys(entity.shape);
    },
    remedies: {
      ...REMOTE_REMEDIES,
      subject: "write { type: user, id: …, properties: { … } }",
      action: "write { name: …, properties: { … } }",
      resource: "write { type: file, id: …, properties: { … } }",
      context: "write a mapping",
      discover: "write discover: true, or leave it out",
    },
  },
  async load(options, context) {
    const fills = fillsOf(options, context);
    const client = new JsonClient({ url: options.url, timeoutMs: timeoutMsOf(options), ...secretsOf(options, context) });
    try {
      const endpoints = options.discover === true ? await discovered(client, options, context) : { ...DEFAULT_ENDPOINTS };
      const evaluations = new Evaluations(client, endpoints);
      const looksAt = looksAtOf(options, "authzen");
      return remoteEngine({
        looksAt,
        askAll(question, asks) {
          const facts = factsOf(question, looksAt);
          const { subject, action: done, resource, context: around } = fills;
          const all = asks.map((ask) => {
            const known = facts(ask);
            return evaluations.ask({ subject: subject(known), action: done(known), resource: resource(known), context: around(known) });
          });
          return Promise.all(all.map((answer) => answer.then(replyOf)));
        },
        close: () => client.close(),
      });
    } catch (error) {
      await client.close();
      throw error;
    }
  },
};
