/** Evaluations of AuthZEN 1.0, one or many, put to the policy in force. Knows no HTTP. */
import { type Decision, obligedToRead } from "@sluice/decision-api";
import type { DecisionEngine } from "../engine/decision-engine.js";
import { type Asked, askedOf, BadRequest } from "./evaluation-question.js";

type Json = Record<string, unknown>;
export interface EvaluationAnswer {
  decision: boolean;
  context?: Json;
}

const MAX_EVALUATIONS = 1_024;
const TIMEOUT_MS = 10_000;
const PARTS = ["subject", "action", "resource", "context"] as const;
const SEMANTICS = {
  execute_all: undefined,
  deny_on_first_deny: false,
  permit_on_first_permit: true,
} as const;

function answerOf({ effect, rule, reason, obligations, decisionId, revision }: Decision, passthrough: boolean): EvaluationAnswer {
  const allowed = passthrough ? effect === "grant" : effect === "grant" || effect === "mediate";
  const own = obligations.map(({ name, value }) => ({ id: name, type: "sluice", properties: { [name]: value } }));
  return {
    decision: allowed,
    context: {
      reason: allowed || effect !== "mediate" ? reason : `${reason}; the daemon does the I/O`,
      effect,
      rule,
      decision_id: decisionId,
      revision: { sequence: revision.sequence.toString(), digest: revision.digest },
      ...(allowed && own.length > 0 ? { obligations: own } : {}),
    },
  };
}

async function inTime(decision: Decision | Promise<Decision>): Promise<Decision> {
  if (!(decision instanceof Promise)) return decision;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("the policy took too long")), TIMEOUT_MS);
  });
  try {
    return await Promise.race([decision, late]);
  } finally {
    clearTimeout(timer);
  }
}

function partsOf(body: Json): { subject: unknown; action: unknown; resource: unknown; context: unknown } {
  const { subject, action, resource, context } = body;
  return { subject, action, resource, context };
}

async function evaluate(body: Json, engine: DecisionEngine): Promise<EvaluationAnswer> {
  const asked: Asked = askedOf(partsOf(body), engine.capabilities());
  if (asked.kind === "foreign") return { decision: false, context: { reason: asked.reason } };
  return answerOf(obligedToRead(await inTime(engine.decide(asked.question)), asked.question), asked.passthrough);
}

/** Rejects with `BadRequest`, or as the policy does. */
export async function evaluateOne(body: Json, engine: DecisionEngine): Promise<EvaluationAnswer> {
  engine.refresh();
  return evaluate(body, engine);
}

/** An evaluation that cannot be judged is a no with its error, and the others are answered. */
async function orError(body: unknown, defaults: Json, engine: DecisionEngine): Promise<EvaluationAnswer> {
  try {
    if (typeof body !== "object" || body === null || Array.isArray(body)) throw new BadRequest("an evaluation is no object");
    const whole: Json = { ...defaults };
    for (const part of PARTS) if ((body as Json)[part] !== undefined) whole[part] = (body as Json)[part];
    return await evaluate(whole, engine);
  } catch (error) {
    const bad = error instanceof BadRequest;
    const message = bad ? error.message : "the policy gave no answer: see the log of the decision service";
    return { decision: false, context: { error: { status: bad ? 400 : 500, message } } };
  }
}

function semanticOf(options: unknown): keyof typeof SEMANTICS {
  if (options === undefined) return "execute_all";
  if (typeof options !== "object" || options === null || Array.isArray(options)) throw new BadRequest("'options' is no object");
  const semantic = (options as Json)["evaluations_semantic"] ?? "execute_all";
  if (typeof semantic !== "string" || !Object.hasOwn(SEMANTICS, semantic))
    throw new BadRequest(`'options.evaluations_semantic' is none of ${Object.keys(SEMANTICS).join(", ")}`);
  return semantic as keyof typeof SEMANTICS;
}

/** Without any evaluations it is a single one. Rejects with `BadRequest` if it is no request at all. */
export async function evaluateMany(body: Json, engine: DecisionEngine): Promise<EvaluationAnswer | { evaluations: EvaluationAnswer[] }> {
  const { evaluations } = body;
  if (evaluations !== undefined && !Array.isArray(evaluations)) throw new BadRequest("'evaluations' is no list");
  if (evaluations === undefined || evaluations.length === 0) return evaluateOne(body, engine);
  if (evaluations.length > MAX_EVALUATIONS) throw new BadRequest(`there are more than ${MAX_EVALUATIONS} evaluations`);
  const stopAt = SEMANTICS[semanticOf(body["options"])];
  engine.refresh();
  if (stopAt === undefined) return { evaluations: await Promise.all(evaluations.map((each) => orError(each, body, engine))) };
  const answers: EvaluationAnswer[] = [];
  for (const each of evaluations) {
    const answer = await orError(each, body, engine);
    answers.push(answer);
    if (answer.decision === stopAt) break;
  }
  return { evaluations: answers };
}
