/**
 * Answers between domain and wire; convert-question.ts has the questions. Strict on the way in: an unknown effect or
 * obligation denies, and a malformed answer is no answer at all (`DecisionError` "malformed").
 */
import {
  type Access,
  type Decision,
  DecisionError,
  DENIAL_ERRNO,
  type Effect,
  type Obligation,
  type PendingPerson,
  type PolicyCapabilities,
  type PolicyRevision,
  type RuleRates,
  type UnsureAnswer,
} from "./domain.js";
import { durationFromProto, durationToProto } from "./convert-duration.js";
import { scopeFromProto, scopeToProto } from "./convert-scope.js";
import { GlobError } from "./glob/glob-pattern.js";
import { HiddenNames } from "./glob/hidden-names.js";
import * as wire from "./gen/sluice/decision/v1/decision.js";
import { ANSWER_LIMITS, QUESTION_LIMITS, SHA256_HEX } from "./limits.js";
import { isRate, mergeObligations, RATE_SHARE } from "./obligations/merge-obligations.js";
import { ACCESS_OF, EFFECT_OF, OUTAGE_OF, WIRE_ACCESS, WIRE_EFFECT, WIRE_OUTAGE } from "./wire-names.js";

/** Of ids. */
export const PRINTABLE = /^[\x21-\x7e]+$/;

function malformed(what: string): DecisionError {
  return new DecisionError("malformed", `answer is malformed: ${what}: check the version of the decision service`);
}

function bounded(text: string, length: number, what: string): string {
  if (text.length > length) throw malformed(`${what} is longer than ${length} characters`);
  return text;
}

function denialErrno(errno: number): number {
  return errno === DENIAL_ERRNO.EPERM || errno === DENIAL_ERRNO.ENOENT ? errno : DENIAL_ERRNO.EACCES;
}

export function revisionFromProto(revision: wire.Revision | undefined): PolicyRevision {
  if (revision === undefined) throw malformed("it names no policy revision");
  if (!SHA256_HEX.test(revision.digest)) throw malformed("the digest of the policy revision is not a SHA-256 in hexadecimal");
  return { sequence: revision.sequence, digest: revision.digest };
}

function obligationFromProto(obligation: wire.Obligation): Obligation {
  if (obligation.name === "") throw malformed("an obligation has no name");
  return {
    name: bounded(obligation.name, ANSWER_LIMITS.nameLength, "the name of an obligation"),
    value: bounded(obligation.value, ANSWER_LIMITS.valueLength, "the value of an obligation"),
  };
}

type Duties = Pick<Decision, "obligations" | "rates">;

function dutiesFromProto({ obligations: sent, rates }: Pick<wire.Decision, "obligations" | "rates">): Duties {
  const obligations = obligationsFromProto(sent);
  // Most answers have none.
  if (rates.length === 0) return { obligations };
  const byRule = rates.map(ratesOfRule);
  checkRates(byRule, obligations);
  return { obligations, rates: byRule };
}

function ratesOfRule({ rule, obligations }: wire.RuleRates): RuleRates {
  const name = bounded(rule, ANSWER_LIMITS.nameLength, "the name of a rule with a rate");
  const rates = obligationsFromProto(obligations);
  const other = rates.find((each) => !isRate(each) && each.name !== RATE_SHARE);
  if (other !== undefined) throw malformed(`'${other.name}' is among the rates of a rule, and is no rate`);
  return { rule: name, obligations: rates };
}

/** The mount enforces the rates of the rules in place of the obligations that they make together, so none of these may be missing. */
function checkRates(byRule: readonly RuleRates[], obligations: readonly Obligation[]): void {
  if (byRule.length > ANSWER_LIMITS.rates) throw malformed(`it has rates of more than ${ANSWER_LIMITS.rates} rules`);
  if (new Set(byRule.map(({ rule }) => rule)).size < byRule.length) throw malformed("a rule has its rates twice");
  const stated = (all: readonly Obligation[]): string =>
    all
      .filter(isRate)
      .map(({ name, value }) => `${name} ${Number(value)}`)
      .sort()
      .join();
  if (stated(mergeObligations(byRule.map((each) => each.obligations))) !== stated(obligations))
    throw malformed("the rates of its rules and its obligations differ");
}

/** A service that names no time, or a longer one, gets this. */
const LONGEST_ASK_MS = 3_600_000;

function pendingFromProto({ askId, timeout }: wire.Pending): PendingPerson {
  if (!PRINTABLE.test(askId)) throw malformed("the id of a question for a person is not printable ASCII");
  const timeoutMs = timeout === undefined ? LONGEST_ASK_MS : durationFromProto(timeout);
  if (!(timeoutMs >= 0)) throw malformed("the time of a question for a person is negative");
  return {
    askId: bounded(askId, ANSWER_LIMITS.idLength, "the id of a question for a person"),
    timeoutMs: Math.min(timeoutMs, LONGEST_ASK_MS),
  };
}

function obligationsFromProto(obligations: readonly wire.Obligation[]): readonly Obligation[] {
  if (obligations.length > ANSWER_LIMITS.obligations) throw malformed(`it has more than ${ANSWER_LIMITS.obligations} obligations`);
  return mergeObligations([obligations.map(obligationFromProto)]);
}

function unsureFromProto({ effect: sent, errno, rule, reason, obligations, rates }: wire.UnsureAnswer): UnsureAnswer {
  const effect = EFFECT_OF.get(sent) ?? "deny";
  return {
    effect,
    errno: effect === "deny" ? denialErrno(errno) : 0,
    rule: bounded(rule, ANSWER_LIMITS.nameLength, "the name of a rule that may match"),
    reason: bounded(reason, ANSWER_LIMITS.reasonLength, "the reason of a rule that may match"),
    ...dutiesFromProto({ obligations, rates }),
  };
}

/** Throws `DecisionError` "malformed". An effect that is unspecified or unknown is a denial. */
export function decisionFromProto(decision: wire.Decision | undefined): Decision {
  if (decision === undefined) throw malformed("it holds no decision");
  if (decision.decisionId === "") throw malformed("it has no decision id");
  bounded(decision.decisionId, ANSWER_LIMITS.idLength, "the decision id");
  if (!PRINTABLE.test(decision.decisionId)) throw malformed("the decision id has characters that are not printable ASCII");
  const effect = EFFECT_OF.get(decision.effect) ?? "deny";
  return {
    effect,
    errno: effect === "deny" ? denialErrno(decision.errno) : 0,
    decisionId: decision.decisionId,
    policyId: bounded(decision.policyId, ANSWER_LIMITS.nameLength, "the policy id"),
    rule: bounded(decision.rule, ANSWER_LIMITS.nameLength, "the name of the rule"),
    revision: revisionFromProto(decision.revision),
    reason: bounded(decision.reason, ANSWER_LIMITS.reasonLength, "the reason"),
    ...dutiesFromProto(decision),
    source: "service",
    ...reuseFromProto(decision, effect),
    ...(effect === "ask" && decision.pending !== undefined ? { pending: pendingFromProto(decision.pending) } : {}),
    ...(decision.byPerson ? { byPerson: true } : {}),
    ...(decision.mayMatch === undefined ? {} : { mayMatch: mayMatchFromProto(decision.mayMatch) }),
  };
}

/** Nothing repeats the answer of a person, or the question for one. */
function reuseFromProto({ scope, onOutage, byPerson }: wire.Decision, effect: Effect): Pick<Decision, "scope" | "onOutage"> {
  if (byPerson || effect === "ask") return { scope: undefined, onOutage: "deny" };
  return { scope: scopeFromProto(scope), onOutage: OUTAGE_OF.get(onOutage) };
}

function mayMatchFromProto({ answer }: wire.MayMatch): UnsureAnswer | "none" {
  return answer === undefined ? "none" : unsureFromProto(answer);
}

const ratesToProto = (rates: readonly RuleRates[] = []): wire.RuleRates[] =>
  rates.map(({ rule, obligations }) => ({ rule, obligations: obligations.map((each) => ({ ...each })) }));

function mayMatchToProto(unsure: UnsureAnswer | "none"): wire.MayMatch {
  if (unsure === "none") return { answer: undefined };
  const { effect, errno, rule, reason, obligations, rates } = unsure;
  return {
    answer: {
      effect: WIRE_EFFECT[effect],
      errno,
      rule,
      reason: reason.slice(0, ANSWER_LIMITS.reasonLength),
      obligations: obligations.map((each) => ({ ...each })),
      rates: ratesToProto(rates),
    },
  };
}

export function decisionToProto(decision: Decision): wire.Decision {
  return {
    effect: WIRE_EFFECT[decision.effect],
    errno: decision.errno,
    decisionId: decision.decisionId,
    policyId: decision.policyId,
    rule: decision.rule,
    revision: { ...decision.revision },
    reason: decision.reason.slice(0, ANSWER_LIMITS.reasonLength),
    obligations: decision.obligations.map((obligation) => ({ ...obligation })),
    scope: scopeToProto(decision.scope),
    onOutage: decision.onOutage === undefined ? wire.OutageMode.UNSPECIFIED : WIRE_OUTAGE[decision.onOutage],
    pending: decision.pending && { askId: decision.pending.askId, timeout: durationToProto(decision.pending.timeoutMs) },
    byPerson: decision.byPerson === true,
    rates: ratesToProto(decision.rates),
    mayMatch: decision.mayMatch && mayMatchToProto(decision.mayMatch),
  };
}

/**
 * Throws `DecisionError` "malformed". An access that this version does not know is left out: it cannot be asked for.
 * "Nothing needs to be asked" is believed only if nothing else is claimed.
 */
export function capabilitiesFromProto(capabilities: wire.Capabilities | undefined): PolicyCapabilities {
  if (capabilities === undefined) throw malformed("it holds no capabilities");
  if (capabilities.xattrs.length > ANSWER_LIMITS.xattrs)
    throw malformed(`it asks for more than ${ANSWER_LIMITS.xattrs} extended attributes`);
  const accesses = new Set<Access>();
  for (const access of capabilities.accesses) {
    const known = ACCESS_OF.get(access);
    if (known !== undefined) accesses.add(known);
  }
  return {
    revision: revisionFromProto(capabilities.revision),
    policyId: bounded(capabilities.policyId, ANSWER_LIMITS.nameLength, "the policy id"),
    accesses,
    needsGroups: capabilities.needsGroups,
    needsExecutable: capabilities.needsExecutable,
    needsCgroup: capabilities.needsCgroup,
    xattrs: capabilities.xattrs.map((name) => bounded(name, ANSWER_LIMITS.nameLength, "the name of an extended attribute")),
    headBytes: headBytesFromProto(capabilities.headBytes),
    needsDigest: capabilities.needsDigest,
    unconditionalGrant: capabilities.unconditionalGrant && capabilities.accesses.length === 0 && capabilities.hiddenNames.length === 0,
    ...callerRulesFromProto(capabilities.callerRules),
    ...hiddenNamesFromProto(capabilities.hiddenNames),
    ...(capabilities.asks ? { asks: true } : {}),
    ...(capabilities.refusedEdit === ""
      ? {}
      : { refusedEdit: bounded(capabilities.refusedEdit, ANSWER_LIMITS.reasonLength, "the refused edit") }),
    ...(capabilities.summary === "" ? {} : { summary: bounded(capabilities.summary, ANSWER_LIMITS.nameLength, "the summary") }),
  };
}

function headBytesFromProto(bytes: number): number {
  if (bytes > QUESTION_LIMITS.headBytes) throw malformed(`it asks for more than ${QUESTION_LIMITS.headBytes} bytes of a file`);
  return bytes;
}

/** A pattern that cannot be understood hides nothing: capabilities with one are none. */
function hiddenNamesFromProto(globs: readonly string[]): { hiddenNames?: readonly string[] } {
  if (globs.length === 0) return {};
  try {
    return { hiddenNames: HiddenNames.ofPolicy(globs).globs };
  } catch (error) {
    if (error instanceof GlobError) throw malformed(`a pattern of hidden names: ${error.message}`);
    throw error;
  }
}

function callerRulesFromProto(names: readonly string[]): { callerRules?: readonly string[] } {
  if (names.length === 0) return {};
  return {
    callerRules: names.slice(0, ANSWER_LIMITS.callerRules).map((name) => bounded(name, ANSWER_LIMITS.nameLength, "the name of a rule")),
  };
}

export function capabilitiesToProto(capabilities: PolicyCapabilities): wire.Capabilities {
  return {
    revision: { ...capabilities.revision },
    policyId: capabilities.policyId,
    accesses: [...capabilities.accesses].map((access) => WIRE_ACCESS[access]),
    needsGroups: capabilities.needsGroups,
    needsExecutable: capabilities.needsExecutable,
    needsCgroup: capabilities.needsCgroup,
    xattrs: [...capabilities.xattrs],
    headBytes: capabilities.headBytes,
    needsDigest: capabilities.needsDigest,
    unconditionalGrant: capabilities.unconditionalGrant,
    callerRules: (capabilities.callerRules ?? []).slice(0, ANSWER_LIMITS.callerRules),
    hiddenNames: [...(capabilities.hiddenNames ?? [])],
    asks: capabilities.asks === true,
    refusedEdit: (capabilities.refusedEdit ?? "").slice(0, ANSWER_LIMITS.reasonLength),
    summary: (capabilities.summary ?? "").slice(0, ANSWER_LIMITS.nameLength),
  };
}
