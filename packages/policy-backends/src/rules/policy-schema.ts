/** The shape of a policy file, version 1. What zod cannot see (globs, conditions, names) is compile-rules.ts' work. */
import { ALL_ACCESSES } from "@sluice/decision-api";
import { z } from "zod";
import { headBytesSchema } from "../document/head-bytes.js";

const oneOrMany = <T extends z.ZodType>(item: T) => z.preprocess((value) => (Array.isArray(value) ? value : [value]), z.array(item).min(1));

const effect = z.enum(["grant", "mediate", "deny"]);
const id = z.number().int().min(0).max(4_294_967_295);
const bytesPerSecond = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER);

export const subjectSchema = z.strictObject({
  uid: oneOrMany(id).optional(),
  /** The caller's primary group; others are `subject.groups` of a condition. */
  gid: oneOrMany(id).optional(),
  cgroup: oneOrMany(z.string()).optional(),
  executable: oneOrMany(z.string()).optional(),
});

const duration = z.string().regex(/^\d{1,9}(ms|s|m|h)$/);

/** What the mount service honours; one that it cannot, it answers with a denial. */
const obligations = z.strictObject({
  audit: z.enum(["each-io"]).optional(),
  readBytesPerSecond: bytesPerSecond.optional(),
  writeBytesPerSecond: bytesPerSecond.optional(),
  /** What shares a rate: default subject, the files that one user has open under the rule. */
  ratePer: z.enum(["handle", "subject", "rule"]).optional(),
  /** The file may not become longer by writing. */
  maxSizeBytes: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
  /** The open is judged anew after this. */
  expiresAfter: duration.optional(),
  readOnly: z.literal(true).optional(),
});

export const ruleSchema = z.strictObject({
  name: z.string().min(1).max(100),
  path: oneOrMany(z.string()).optional(),
  access: oneOrMany(z.enum(ALL_ACCESSES)).optional(),
  subject: subjectSchema.optional(),
  when: z.string().min(1).max(4096).optional(),
  effect,
  errno: z.enum(["EACCES", "EPERM", "ENOENT"]).optional(),
  obligations: obligations.optional(),
  ttl: z
    .string()
    .regex(/^\d{1,9}(ms|s|m|h)$/)
    .optional(),
  scope: z.enum(["this"]).optional(),
  /** What an open that the rule decided before gets while no decision can be had. */
  onOutage: z.enum(["deny", "mediate", "stale"]).optional(),
});

export const policySchema = z.strictObject({
  version: z.literal(1),
  /** As the other kinds of policy say theirs. */
  kind: z.literal("rules").optional(),
  revision: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
  default: effect,
  /** How much `resource.head` has. */
  headBytes: headBytesSchema.optional(),
  /** Files of SHA-256 sums, each by the name that conditions have for it: `resource.digest in digests.NAME`. */
  digests: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/), z.string().min(1)).optional(),
  rules: z.array(ruleSchema).max(10_000).optional(),
});

export type PolicyDocument = z.infer<typeof policySchema>;
export type RuleDocument = z.infer<typeof ruleSchema>;

/** Keys that may stand at a place, for "did you mean". */
export function keysAt(path: readonly PropertyKey[]): readonly string[] {
  const names = path.filter((key) => typeof key === "string");
  switch (names.join(".")) {
    case "":
      return Object.keys(policySchema.shape);
    case "rules":
      return Object.keys(ruleSchema.shape);
    case "rules.subject":
      return Object.keys(subjectSchema.shape);
    case "rules.obligations":
      return Object.keys(obligations.shape);
    default:
      return [];
  }
}
