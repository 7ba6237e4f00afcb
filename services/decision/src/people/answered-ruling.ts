/** The ruling of a policy that asks, once a person has answered. */
import { DENIAL_ERRNO } from "@sluice/decision-api";
import type { Ruling } from "@sluice/policy-backends";
import type { AnsweredAsk } from "./person-desk.js";

const WORDS: Readonly<Record<AnsweredAsk["scope"], string>> = {
  once: "allowed it once",
  session: "allowed it until the service ends",
  always: "allowed it until that is revoked",
  deny: "denied it",
  timeout: "answered in time",
};

/**
 * The mount does the I/O of a file that a person allowed, so that a later denial holds for the open file as well. No cache and no outage
 * repeats a person's answer.
 */
export function answeredRuling({ rule, obligations, rates, mayMatch }: Ruling, { allowed, scope, by }: AnsweredAsk): Ruling {
  const ruling: Ruling = {
    effect: allowed ? "mediate" : "deny",
    errno: allowed ? 0 : DENIAL_ERRNO.EACCES,
    rule,
    reason: `rule '${rule}' asks a person: ${by} ${WORDS[scope]}`,
    obligations: allowed ? obligations : [],
    rates: allowed ? rates : undefined,
    scope: undefined,
    onOutage: "deny",
  };
  // Nobody can say whether the rule that asks matches: a policy that is asked besides must hear of the answer.
  return mayMatch === undefined ? ruling : { ...ruling, mayMatch: ruling };
}
