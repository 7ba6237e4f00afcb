/** A question as a person writes it: only what matters, the rest as of an ordinary user reading an ordinary file. */
import {
  ALL_ACCESSES,
  ALL_KINDS,
  bytesOfText,
  type FactNeeds,
  HIDES_NAMES,
  UNDERSTANDS_EXCEPT,
  type Question,
  QUESTION_LIMITS,
  usualOperation,
} from "@sluice/decision-api";
import { z } from "zod";

const oneOrMany = <T extends z.ZodType>(item: T) => z.preprocess((value) => (Array.isArray(value) ? value : [value]), z.array(item).min(1));
const id = z.number().int().min(0).max(4_294_967_295);

/** Keys of a described question. */
export const DESCRIBED_SHAPE = {
  path: oneOrMany(z.string()),
  access: oneOrMany(z.enum(ALL_ACCESSES)).optional(),
  uid: id.optional(),
  gid: id.optional(),
  groups: z.array(id).optional(),
  executable: z.string().optional(),
  cgroup: z.string().optional(),
  mount: z.string().optional(),
  layer: z.string().optional(),
  kind: z.enum(ALL_KINDS).optional(),
  size: z.number().int().min(0).optional(),
  mode: z.number().int().min(0).optional(),
  owner: z.strictObject({ uid: id, gid: id }).optional(),
  xattrs: z.record(z.string(), z.string()).optional(),
  /** Of the mount. */
  labels: z.record(z.string(), z.string()).optional(),
  /** The content's beginning, one character for each byte; by default it has none. */
  head: z
    .string()
    .max(QUESTION_LIMITS.headBytes)
    .regex(/^[\0-\xff]*$/)
    .optional(),
  /** SHA-256 of the content. */
  digest: z
    .string()
    .regex(/^([0-9a-f]{64})?$/)
    .optional(),
  /** Facts that could not be read, such as subject.executable. */
  missing: z.array(z.string()).optional(),
};
const described = z.strictObject(DESCRIBED_SHAPE);
export type DescribedQuestion = z.infer<typeof described>;

const S_IFREG = 0o100000;
const NOBODY_SPECIAL = 1_000;

/** `wanted`: the facts that the policy looks at. A file has no attribute or content that the description leaves out. */
export function questionOf(description: DescribedQuestion, id: string, { xattrs, headBytes, needsDigest }: FactNeeds): Question {
  const accesses = description.access ?? ["read"];
  const missing = description.missing ?? [];
  const known = (fact: string): boolean => !missing.includes(fact);
  const { owner, uid = NOBODY_SPECIAL } = description;
  return {
    id,
    operation: usualOperation(accesses[0]),
    accesses,
    subject: {
      uid,
      gid: description.gid ?? uid,
      groups: description.groups ?? [],
      pid: 0,
      ...(known("subject.executable") ? { executable: bytesOfText(description.executable ?? "/usr/bin/cat") } : {}),
      ...(known("subject.cgroup") ? { cgroup: bytesOfText(description.cgroup ?? "/") } : {}),
    },
    resource: {
      mount: description.mount ?? "test",
      paths: description.path.map(bytesOfText),
      layer: description.layer ?? "lower0",
      kind: description.kind ?? "regular",
      sizeBytes: BigInt(description.size ?? 0),
      mode: description.mode ?? S_IFREG | 0o644,
      uid: owner?.uid ?? 0,
      gid: owner?.gid ?? 0,
      xattrs: new Map(Object.entries(description.xattrs ?? {}).map(([name, value]) => [name, Buffer.from(value, "utf8")])),
      labels: description.labels,
      ...(headBytes > 0 && known("resource.head")
        ? { head: { bytes: Buffer.from(description.head ?? "", "latin1").subarray(0, headBytes), askedBytes: headBytes } }
        : {}),
      ...(needsDigest && known("resource.digest") ? { digest: description.digest ?? "" } : {}),
    },
    openFlags: 0,
    missing: missing.map((name) => ({ name, reason: "the case says so" })),
    lookedFor: [
      HIDES_NAMES,
      UNDERSTANDS_EXCEPT,
      "subject.groups",
      "subject.executable",
      "subject.cgroup",
      ...xattrs.map((name) => `resource.xattr.${name}`),
    ].filter(known),
  };
}
