/**
 * The file of the driver's administrator: sources of volumes, and the policies that apply to them. It is read for each new mount, so that an
 * edit of a ConfigMap needs no restart.
 */
import { readFileSync } from "node:fs";
import { CliError, EXIT } from "@sluice/runtime/cli";
import { parse, YAMLParseError } from "yaml";
import { z } from "zod";
import { parseQuantity } from "./quantity.js";

/** A name that volumes use; every author of a pod can choose one. */
export const NAME = /^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/;

const name = z.string().regex(NAME, "it is not a name of lower-case letters, digits, '-' and '.'");
const path = z.string().regex(/^\/[^\0:,\\]*$/, "it is not an absolute path without ':', ',' and '\\'");
const quantity = z
  .union([z.string(), z.number()])
  .transform((text) => parseQuantity(String(text)))
  .refine((value) => value !== undefined, "it is not a quantity such as 512Mi");

const limits = z.strictObject({ maxSizeBytes: quantity.optional(), maxInodes: quantity.optional() });
const uppers = z.enum(["none", "ephemeral", "pvc"]);

const source = z.strictObject({
  /** "claim": each volume names a PersistentVolumeClaim of its pod's namespace. */
  lower: z.union([z.array(path).min(1), z.literal("claim")]),
  policy: name.optional(),
  decision: name.optional(),
  onOutage: z.enum(["deny", "mediate", "stale"]).optional(),
  namespaces: z.array(z.string().min(1)).optional(),
  upper: z.array(uppers).min(1).default(["none"]),
  limits: limits.optional(),
  maxStackDepth: z.union([z.literal(1), z.literal(2)]).optional(),
  options: z.array(z.string()).optional(),
});

const decision = z.strictObject({
  target: z.string().min(1),
  ca: path.optional(),
  cert: path.optional(),
  key: path.optional(),
  serverSan: z.string().optional(),
});

const schema = z
  .strictObject({
    roots: z.array(path).default([]),
    sources: z.record(name, source).default({}),
    policies: z.record(name, path).default({}),
    decisions: z.record(name, decision).default({}),
    ephemeral: limits.extend({ totalBytes: quantity.optional() }).default({}),
  })
  .superRefine(checkReferences);

export type Source = z.infer<typeof source>;
export type DecisionService = z.infer<typeof decision>;
export type DriverConfig = z.infer<typeof schema>;

function checkReferences(config: DriverConfig, context: z.RefinementCtx): void {
  for (const [key, { policy, decision: service }] of Object.entries(config.sources)) {
    const at = ["sources", key];
    if (policy !== undefined && service !== undefined)
      context.addIssue({ code: "custom", path: at, message: "it has both a policy and a decision service" });
    if (policy !== undefined && !Object.hasOwn(config.policies, policy))
      context.addIssue({ code: "custom", path: at, message: `there is no policy "${policy}"` });
    if (service !== undefined && !Object.hasOwn(config.decisions, service))
      context.addIssue({ code: "custom", path: at, message: `there is no decision service "${service}"` });
  }
}

function refused(file: string, problem: string, cause: unknown): CliError {
  return new CliError({ object: file, problem, remedy: "repair the configuration of the driver", exitCode: EXIT.MACHINE }, { cause });
}

/** Of a file that cannot be read the errno, and of one that is no YAML the first line about it. */
function problemIn(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (error instanceof YAMLParseError) return message.split("\n", 1).join("").replace(/:$/, "");
  return `it cannot be read (${code ?? message})`;
}

/** @throws CliError, exit code 3: for a volume it is a lack of the node */
export function readDriverConfig(file: string): DriverConfig {
  let given: unknown;
  try {
    given = parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw refused(file, problemIn(error), error);
  }
  const parsed = schema.safeParse(given ?? {});
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw refused(file, `${issue?.path.join(".") || "file"}: ${issue?.message ?? "it is invalid"}`, parsed.error);
}
