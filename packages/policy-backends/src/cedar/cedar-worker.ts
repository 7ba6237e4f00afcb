/** The Cedar engine in a thread of its own: policies are parsed and validated once, then asked. The program of the thread. */
import {
  type DetailedError,
  type PolicyJson,
  policySetTextToParts,
  policyToJson,
  preparsePolicySet,
  schemaToJson,
  statefulIsAuthorized,
  templateToJson,
  validate,
} from "@cedar-policy/cedar-wasm/nodejs";
import { GlobError, HiddenNames } from "@sluice/decision-api";
import type { HideRule } from "../policy-kind.js";
import { Refusal, serveTasks } from "../worker/serve-tasks.js";
import type { CedarRequest, Entity } from "./cedar-request.js";
import { type CedarUses, usesOf } from "./cedar-uses.js";

export interface CedarSetup {
  files: readonly { name: string; text: string }[];
  schema: string;
  entities: readonly Entity[];
}
/** A mistake in one of the files, at a character of it; no file: in the schema. */
export interface CedarMistake {
  file: string | undefined;
  offset: number | undefined;
  message: string;
  help: string;
}
export interface CedarReady {
  uses: CedarUses;
  /** Of policies with the annotation `@hide`. */
  hides: HideRule[];
  /** Policies with the annotation `@ask`, by their ids. */
  asks: string[];
  warnings: CedarMistake[];
}
/** `reason`: ids of the policies that decided. `errors`: of those that could not be evaluated, with the reason. */
export interface CedarAnswer {
  allowed: boolean;
  /** Without policies that ask it would be allowed: one of those, which forbids it. */
  asks?: string;
  reason: string[];
  errors: { id: string; message: string }[];
}

const SET = "set";
/** The policies that do not ask. */
const UNASKING = "unasking";
let asking: ReadonlySet<string> = new Set();
let entities = new Map<string, Entity>();
/** Each action by its id, with the groups that it is in. */
let actions = new Map<string, Entity[]>();

function mistakeOf({ message, help, sourceLocations, related }: DetailedError, file: string | undefined): CedarMistake {
  const place = sourceLocations?.[0];
  const detail = place?.label ?? related?.[0]?.message;
  return {
    file,
    offset: place?.start,
    message: detail === undefined || detail === null ? message : `${message}: ${detail}`,
    help: help ?? "",
  };
}

const ASK_HELP = "write @ask forbid (…), and a policy that permits the rest";
const HIDE_HELP = 'write @hide("GLOB") forbid (principal, action, resource);';

/** The glob of a policy that hides names: it has no more than that, since the kernel caches one list of names for all callers. */
function hiddenBy(glob: string, { effect, principal, action, resource, conditions }: PolicyJson, file: string): string {
  const refuse = (message: string): Refusal =>
    new Refusal("policies hide names that they cannot hide", [{ file, offset: undefined, message, help: HIDE_HELP }]);
  const plain = effect === "forbid" && conditions.length === 0 && [principal, action, resource].every(({ op }) => op === "All");
  if (!plain) throw refuse("a policy with @hide hides names from every caller: it forbids, and tests nothing");
  try {
    HiddenNames.ofPolicy([glob]);
    return glob;
  } catch (error) {
    if (error instanceof GlobError) throw refuse(`@hide("${glob.slice(0, 80)}"): ${error.message}: ${error.remedy}`);
    throw error;
  }
}

/** A policy that asks is a forbidding one: without an answer it forbids. */
function askedBy(id: string, { effect }: PolicyJson, file: string): string {
  if (effect === "forbid") return id;
  const mistake = { file, offset: undefined, message: `'${id}': a policy with @ask forbids until a person allows it`, help: ASK_HELP };
  throw new Refusal("policies ask that cannot ask", [mistake]);
}

/** A policy may have the very name that another one with the same `@id` would get. */
function unusedId(named: string, place: string, used: ReadonlyMap<string, unknown>): string {
  // A chain takes "default" for no policy.
  let id = named === "default" || used.has(named) ? `${named} (${place})` : named;
  while (used.has(id)) id = `${id} (${place})`;
  return id;
}

/** Every policy under a name that is its own: that of its `@id`, or its file and number. */
function collect(setup: CedarSetup): { policies: Map<string, string>; json: Map<string, unknown>; hides: HideRule[]; asks: string[] } {
  const asks: string[] = [];
  const policies = new Map<string, string>();
  const hides: HideRule[] = [];
  const json = new Map<string, unknown>();
  for (const { name, text } of setup.files) {
    const parts = policySetTextToParts(text);
    if (parts.type === "failure")
      throw new Refusal(
        "policies do not parse",
        parts.errors.map((error) => mistakeOf(error, name)),
      );
    if (parts.policy_templates.length > 0) {
      const template = templateToJson(parts.policy_templates[0] as string);
      const mistake = { file: name, offset: undefined, message: "a template is never used", help: "write it as a policy" };
      throw new Refusal(`templates: ${template.type}`, [mistake]);
    }
    parts.policies.forEach((policy, index) => {
      const parsed = policyToJson(policy);
      if (parsed.type === "failure")
        throw new Refusal(
          "policies do not parse",
          parsed.errors.map((error) => mistakeOf(error, name)),
        );
      const named = parsed.json.annotations?.["id"] ?? `${name}#${index + 1}`;
      const id = unusedId(named, `${name}#${index + 1}`, policies);
      const glob = parsed.json.annotations?.["hide"];
      if (glob !== undefined) {
        hides.push({ rule: id, globs: [hiddenBy(glob ?? "", parsed.json, name)] });
        return;
      }
      if (parsed.json.annotations !== undefined && "ask" in parsed.json.annotations) asks.push(askedBy(id, parsed.json, name));
      policies.set(id, policy);
      json.set(id, parsed.json);
    });
  }
  return { policies, json, hides, asks };
}

function check(setup: CedarSetup): CedarMistake[] {
  const mistakes: CedarMistake[] = [];
  const warnings: CedarMistake[] = [];
  for (const { name, text } of setup.files) {
    const answer = validate({ schema: setup.schema, policies: { staticPolicies: text } });
    if (answer.type === "failure") mistakes.push(...answer.errors.map((error) => mistakeOf(error, undefined)));
    else {
      mistakes.push(...answer.validationErrors.map(({ error }) => mistakeOf(error, name)));
      warnings.push(...answer.validationWarnings.map(({ error }) => mistakeOf(error, name)));
    }
  }
  if (mistakes.length > 0) throw new Refusal("policies do not fit the schema", mistakes);
  return warnings;
}

/** The actions of the schema; requests carry them, since schemas are for checking only. */
function actionsOf(schema: string): Map<string, Entity[]> {
  const answer = schemaToJson(schema);
  if (answer.type === "failure")
    throw new Refusal(
      "schema does not parse",
      answer.errors.map((error) => mistakeOf(error, undefined)),
    );
  const declared = answer.json[""]?.actions ?? {};
  const entityOf = (id: string): Entity => ({
    uid: { type: "Action", id },
    attrs: {},
    parents: (declared[id]?.memberOf ?? []).map((parent) => ({ type: "Action", id: parent.id })),
  });
  const withAncestors = (id: string, found = new Map<string, Entity>()): Map<string, Entity> => {
    if (found.has(id)) return found;
    const entity = entityOf(id);
    found.set(id, entity);
    for (const parent of entity.parents) withAncestors(parent.id, found);
    return found;
  };
  return new Map(Object.keys(declared).map((id) => [id, [...withAncestors(id).values()]]));
}

const keyOf = ({ type, id }: Entity["uid"]): string => `${type}::${JSON.stringify(id)}`;

function setUp(setup: CedarSetup): CedarReady {
  const { policies, json, hides, asks } = collect(setup);
  const warnings = check(setup);
  asking = new Set(asks);
  prepare(SET, [...policies]);
  if (asks.length > 0) {
    prepare(
      UNASKING,
      [...policies].filter(([id]) => !asking.has(id)),
    );
  }
  actions = actionsOf(setup.schema);
  entities = new Map(setup.entities.map((entity) => [keyOf(entity.uid), entity]));
  return { uses: usesOf(json, setup.entities), hides, asks, warnings };
}

function prepare(name: string, policies: readonly (readonly [string, string])[]): void {
  const prepared = preparsePolicySet(name, { staticPolicies: Object.fromEntries(policies) });
  if (prepared.type === "success") return;
  throw new Refusal(
    "policies do not parse",
    prepared.errors.map((error) => mistakeOf(error, undefined)),
  );
}

/** The question's attributes of an entity override the configuration's; it is below the parents of both. */
function merged(known: Entity): Entity {
  const added = entities.get(keyOf(known.uid));
  if (added === undefined) return known;
  return { uid: known.uid, attrs: { ...added.attrs, ...known.attrs }, parents: [...known.parents, ...added.parents] };
}

/** If nothing but policies that ask forbids it, the others decide whether a person may allow it. */
function ask(request: CedarRequest): CedarAnswer {
  const answer = askSet(SET, request);
  const [asks] = [...answer.reason].sort();
  if (answer.allowed || asks === undefined || !answer.reason.every((id) => asking.has(id))) return answer;
  const without = askSet(UNASKING, request);
  if (without.allowed && answer.errors.length === 0) return { ...without, asks };
  // If no other policy forbids it, the one that asks does: a chain must not take it for none.
  return without.allowed || without.reason.length === 0 ? answer : without;
}

function askSet(set: string, { user, file, ...request }: CedarRequest): CedarAnswer {
  const own = [merged(user), merged(file)];
  const keys = new Set(own.map(({ uid }) => keyOf(uid)));
  const others = [...entities].filter(([key]) => !keys.has(key)).map(([, entity]) => entity);
  const answer = statefulIsAuthorized({
    ...request,
    preparsedPolicySetId: set,
    validateRequest: false,
    entities: [...own, ...(actions.get(request.action.id) ?? []), ...others] as Parameters<typeof statefulIsAuthorized>[0]["entities"],
  });
  if (answer.type === "failure") throw new Error(`Cedar refuses the question: ${answer.errors[0]?.message ?? "unknown"}`);
  const { decision, diagnostics } = answer.response;
  return {
    allowed: decision === "allow",
    reason: diagnostics.reason,
    errors: diagnostics.errors.map(({ policyId, error }) => ({ id: policyId, message: error.message })),
  };
}

serveTasks<CedarSetup, CedarRequest[]>({ setup: setUp, run: (requests) => requests.map(ask) });
