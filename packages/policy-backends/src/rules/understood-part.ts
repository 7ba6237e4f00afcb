/**
 * The part of a policy that has the right shape, if the whole has not: so that one check names the mistakes inside rules (globs,
 * conditions, names) beside an unknown key. Only for finding mistakes; nothing is ever decided by it.
 */
import type { z } from "zod";
import { type PolicyDocument, type RuleDocument, ruleSchema, subjectSchema } from "./policy-schema.js";

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

function validFields(shape: Readonly<Record<string, z.ZodType>>, value: unknown): Fields {
  const given = fieldsOf(value);
  const known = Object.entries(shape).filter(([key]) => given[key] !== undefined);
  return Object.fromEntries(
    known.flatMap(([key, schema]) => {
      const { success, data } = schema.safeParse(given[key]);
      return success ? [[key, data]] : [];
    }),
  );
}

function understoodRule(value: unknown, index: number): RuleDocument {
  const subject = validFields(subjectSchema.shape, fieldsOf(value)["subject"]);
  // A name that no rule has; only what belongs to a denial depends on the effect.
  const { effect, errno, obligations, ...rest } = {
    name: `\0${index}`,
    ...validFields(ruleSchema.shape, value),
    subject,
  } as Partial<RuleDocument>;
  return (effect === undefined ? { ...rest, effect: "grant" } : { ...rest, effect, errno, obligations }) as RuleDocument;
}

/** Rules keep their places in the list. */
export function understoodPart(value: unknown): PolicyDocument {
  const { digests, rules } = fieldsOf(value);
  return {
    version: 1,
    default: "grant",
    digests: fieldsOf(digests) as Record<string, string>,
    rules: Array.isArray(rules) ? rules.map(understoodRule) : [],
  };
}
