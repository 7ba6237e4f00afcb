/** A parsed policy file → its document, or its mistakes with their places. No rule is understood here. */
import { HEAD_BYTES_REMEDY } from "../document/head-bytes.js";
import { type DocumentWords, type Locate, type ParsedYaml, validateYaml } from "../document/yaml-document.js";
import { keysAt, type PolicyDocument, policySchema } from "./policy-schema.js";
import type { PolicyProblem } from "./problem.js";

export type { Locate } from "../document/yaml-document.js";
export type ReadPolicy =
  | { document: PolicyDocument; locate: Locate; problems: PolicyProblem[] }
  | { document: undefined; problems: PolicyProblem[] };

const REMEDIES: Readonly<Record<string, string>> = {
  version: "write version: 1",
  revision: "write a whole number that grows with each edit",
  default: "write default: grant, mediate or deny",
  rules: "write a list of rules",
  "rules[]": "write a rule as { name: …, path: …, effect: … }",
  headBytes: HEAD_BYTES_REMEDY,
  digests: "write { NAME: FILE }, with files as sha256sum writes them and names of letters, digits and _",
  name: "give the rule a short name of its own",
  path: 'write a glob such as "data/**", or a list of globs',
  access: "write a list of read, write, execute, create, delete, link, rename, truncate, metadata",
  uid: "write a number, or a list of numbers",
  gid: "write a number, or a list of numbers",
  cgroup: 'write a glob such as "/docker/**", or a list of globs',
  executable: 'write a glob such as "/usr/bin/*", or a list of globs',
  subject: "write { uid: …, gid: …, cgroup: …, executable: … }",
  when: "write a CEL expression in quotes, of at most 4096 characters",
  effect: "write effect: grant, mediate, deny, hide or ask",
  errno: "write EACCES, EPERM or ENOENT",
  obligations: "write { audit: each-io, readBytesPerSecond: …, writeBytesPerSecond: …, readOnly: true }",
  audit: "write audit: each-io",
  readBytesPerSecond: "write a whole number of bytes",
  writeBytesPerSecond: "write a whole number of bytes",
  ratePer: "write ratePer: handle, subject or rule",
  maxSizeBytes: "write a whole number of bytes",
  expiresAfter: "write a whole number and ms, s, m or h, such as 30s",
  readOnly: "write readOnly: true, or leave it out",
  ttl: "write a whole number and ms, s, m or h, such as 30s",
  onOutage: "write onOutage: deny, mediate or stale, or leave it out: then the setting of the mount applies",
  scope: "write scope: this, or leave it out: the engine computes the scope",
};

const WORDS: DocumentWords = { keysAt, remedies: REMEDIES };

/** Never throws: mistakes are in `problems`. */
export function readParsedPolicy(parsed: ParsedYaml): ReadPolicy {
  const checked = validateYaml(parsed, policySchema, WORDS);
  if (!checked.ok) return { document: undefined, problems: checked.problems };
  return { document: checked.result, locate: parsed.locate, problems: [] };
}
