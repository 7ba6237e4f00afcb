/**
 * The shape of a rules policy, version 1, with the text and the example that editors and docs/rules.md show for each key.
 * compile-rules.ts checks what a schema cannot express: globs, conditions, names of rules.
 */
import { ALL_ACCESSES } from "@sluice/decision-api";
import { z } from "zod";
import { durationSchema } from "../document/duration.js";
import { headBytesSchema } from "../document/head-bytes.js";

const oneOrMany = <T extends z.ZodType>(item: T) => z.preprocess((value) => (Array.isArray(value) ? value : [value]), z.array(item).min(1));

const effect = z.enum(["grant", "mediate", "deny"]);
const ruleEffect = z.enum([...effect.options, "hide", "ask"]);
const id = z.number().int().min(0).max(4_294_967_295);
const bytesPerSecond = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER);
const wholeNumber = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

export const subjectSchema = z.strictObject({
  uid: oneOrMany(id)
    .optional()
    .register(z.globalRegistry, { description: "The caller's file-system uid.", examples: [[1000, 1001]] }),
  gid: oneOrMany(id)
    .optional()
    .register(z.globalRegistry, {
      description: "The caller's primary gid. A condition reads the other groups as `subject.groups`.",
      examples: [100],
    }),
  cgroup: oneOrMany(z.string())
    .optional()
    .register(z.globalRegistry, {
      description: "Globs for the caller's cgroup path. A hint, not a security boundary.",
      examples: ["/system.slice/docker-*.scope"],
    }),
  executable: oneOrMany(z.string())
    .optional()
    .register(z.globalRegistry, {
      description: "Globs for the path of the caller's program. A hint, not a security boundary.",
      examples: ["/usr/bin/{rsync,tar}"],
    }),
});

const obligationsSchema = z.strictObject({
  audit: z
    .enum(["each-io"])
    .optional()
    .register(z.globalRegistry, { description: "Logs every read and write of the open file.", examples: ["each-io"] }),
  readBytesPerSecond: bytesPerSecond
    .optional()
    .register(z.globalRegistry, { description: "Limits the rate of reads, in bytes per second.", examples: [104_857_600] }),
  writeBytesPerSecond: bytesPerSecond.optional().register(z.globalRegistry, {
    description: "Limits the rate of writes, in bytes per second. Space that fallocate(2) reserves counts as written.",
    examples: [10_485_760],
  }),
  ratePer: z
    .enum(["handle", "subject", "rule"])
    .optional()
    .register(z.globalRegistry, {
      description:
        "The opens that share one rate: one open file (`handle`), all files that one user has open under the rule (`subject`, the default), " +
        "or everybody under the rule (`rule`).",
      examples: ["rule"],
    }),
  maxSizeBytes: wholeNumber.optional().register(z.globalRegistry, {
    description: "A write that would make the file longer than this, or reserve space behind it, fails with EFBIG.",
    examples: [1_073_741_824],
  }),
  expiresAfter: durationSchema.optional().register(z.globalRegistry, {
    description: "The next read or write after this time waits until the open was judged again.",
    examples: ["30s"],
  }),
  readOnly: z
    .literal(true)
    .optional()
    .register(z.globalRegistry, {
      description: "Every access but `read` and `execute` fails with EROFS. The only obligation that a grant can have.",
      examples: [true],
    }),
});

export const ruleSchema = z.strictObject({
  name: z
    .string()
    .min(1)
    .max(100)
    .register(z.globalRegistry, {
      description: "Unique name of the rule, for logs, metrics and `sluice explain`. `default` is reserved.",
      examples: ["private-keys"],
    }),
  path: oneOrMany(z.string())
    .optional()
    .register(z.globalRegistry, {
      description: "Globs for the path below the mount's root. If omitted, the rule matches every path.",
      examples: ["**/*.pem", ["data/**", "media/**"]],
    }),
  access: oneOrMany(z.enum(ALL_ACCESSES))
    .optional()
    .register(z.globalRegistry, {
      description:
        "The accesses that the rule decides; `write` includes `truncate`. If omitted: all of them if the effect is `deny`, " +
        "or if `readOnly` is among the obligations, else all but `delete` and `metadata`.",
      examples: [["read", "execute"]],
    }),
  subject: subjectSchema.optional().register(z.globalRegistry, {
    description: "Callers that the rule matches. Every key that is present must match.",
    examples: [{ uid: 1000 }],
  }),
  when: z
    .string()
    .min(1)
    .max(4096)
    .optional()
    .register(z.globalRegistry, {
      description: "A CEL condition on the facts of the question.",
      examples: ["resource.size > 1000000 && !(0 in subject.groups)"],
    }),
  effect: ruleEffect.register(z.globalRegistry, {
    description:
      "`grant`: the kernel does the I/O (passthrough). `mediate`: the mount does the I/O. `deny`: the operation fails. " +
      "`hide`: the name does not exist and cannot be made, for anybody; such a rule has a `path` and nothing else. " +
      "`ask`: a person is asked; if they allow it, the mount does the I/O.",
    examples: ["mediate"],
  }),
  errno: z
    .enum(["EACCES", "EPERM", "ENOENT"])
    .optional()
    .register(z.globalRegistry, { description: "The error of a denial; default EACCES. Only with `effect: deny`.", examples: ["ENOENT"] }),
  obligations: obligationsSchema.optional().register(z.globalRegistry, {
    description: "Conditions that the mount must enforce while the file is open. Not with `effect: deny`.",
    examples: [{ audit: "each-io" }],
  }),
  ttl: durationSchema
    .optional()
    .register(z.globalRegistry, { description: "How long a cached answer of the rule may be reused at most.", examples: ["30s"] }),
  scope: z
    .enum(["this"])
    .optional()
    .register(z.globalRegistry, {
      description: "`this`: a cached answer of the rule is reused for the same file only.",
      examples: ["this"],
    }),
  onOutage: z
    .enum(["deny", "mediate", "stale"])
    .optional()
    .register(z.globalRegistry, {
      description:
        "The answer to an open that this rule decided before, while no decision can be had. If omitted, `--on-outage` of the mount.",
      examples: ["stale"],
    }),
});

export const policySchema = z.strictObject({
  version: z.literal(1).register(z.globalRegistry, { description: "Version of the policy format.", examples: [1] }),
  kind: z
    .literal("rules")
    .optional()
    .register(z.globalRegistry, { description: "Kind of the policy; `rules` may be omitted.", examples: ["rules"] }),
  revision: wholeNumber
    .optional()
    .register(z.globalRegistry, { description: "Orders the edits of a policy: raise it with each edit. Default 0.", examples: [42] }),
  default: effect.register(z.globalRegistry, {
    description: "The effect if no rule matches. Covers the accesses that a rule without `access` covers.",
    examples: ["grant"],
  }),
  headBytes: headBytesSchema
    .optional()
    .register(z.globalRegistry, { description: "How many bytes of the content `resource.head` holds; default 512.", examples: [64] }),
  digests: z
    .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/), z.string().min(1))
    .optional()
    .register(z.globalRegistry, {
      description: "Files with SHA-256 sums, as sha256sum(1) writes them, each under a name for `resource.digest in digests.NAME`.",
      examples: [{ approved: "approved.sha256" }],
    }),
  rules: z
    .array(ruleSchema)
    .max(10_000)
    .optional()
    .register(z.globalRegistry, {
      description: "The rules, in order: the first rule that matches decides.",
      examples: [[{ name: "no-scratch", path: "scratch/**", effect: "deny" }]],
    }),
});

export type PolicyDocument = z.infer<typeof policySchema>;
export type RuleDocument = z.infer<typeof ruleSchema>;

/** The keys that are allowed at a place, for "did you mean". */
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
      return Object.keys(obligationsSchema.shape);
    default:
      return [];
  }
}
