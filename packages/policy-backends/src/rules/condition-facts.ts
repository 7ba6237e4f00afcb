/** The facts that a condition may read. condition-check.ts accepts exactly these; docs/rules.md lists them. */

export interface FactText {
  type: string;
  text: string;
  /** A condition that reads it. */
  example: string;
}

export const SUBJECT_FACTS = {
  uid: { type: "int", text: "the caller's file-system uid", example: "subject.uid != 0" },
  gid: { type: "int", text: "the caller's primary gid", example: "subject.gid == 100" },
  groups: {
    type: "list of int",
    text: "the caller's supplementary groups; missing if the mount's user namespace has not all of them",
    example: "27 in subject.groups",
  },
  pid: { type: "int", text: "the caller's thread id, 0 if it is not visible; such an answer is never cached", example: "subject.pid != 1" },
  executable: {
    type: "string",
    text: "path of the caller's program; a hint, not a boundary",
    example: "subject.executable.startsWith('/usr/bin/')",
  },
  cgroup: { type: "string", text: "the caller's cgroup path; a hint, not a boundary", example: "subject.cgroup.contains('/docker-')" },
} as const satisfies Readonly<Record<string, FactText>>;

export const RESOURCE_FACTS = {
  path: {
    type: "string",
    text: "the name below the mount's root that is judged, without a leading slash",
    example: "resource.path.endsWith('.pem')",
  },
  layer: {
    type: "string",
    text: "`upper`, `lower0` (topmost), `lower1`, …; a layer that was the upper one before (`--former-uppers`) is `upper`. A change of a lower file makes it `upper`, with all its names",
    example: "resource.layer == 'upper'",
  },
  kind: {
    type: "string",
    text: "`regular`, `directory`, `symlink`, `character-device`, `block-device`, `fifo` or `socket`",
    example: "resource.kind == 'regular'",
  },
  size: { type: "int", text: "size in bytes", example: "resource.size > 1000000000" },
  mode: { type: "int", text: "type and permission bits, as `st_mode`", example: "resource.mode % 8 == 0" },
  uid: { type: "int", text: "owner of the file", example: "resource.uid == subject.uid" },
  gid: { type: "int", text: "group of the file", example: "resource.gid in subject.groups" },
  xattr: {
    type: "map of string",
    text: "extended attributes, by literal name; `''` if the file lacks it",
    example: "resource.xattr['user.class'] == 'restricted'",
  },
  label: {
    type: "map of string",
    text: "facts about the mount (`sluice mount --label`), by literal name; `''` if the mount lacks it",
    example: "resource.label['pod.namespace'] == 'training'",
  },
  head: {
    type: "string",
    text: "the first `headBytes` of the content, one character per byte; empty if there is no content",
    example: "resource.head.startsWith('\\x7fELF')",
  },
  digest: {
    type: "string",
    text: "SHA-256 of the content, hexadecimal; empty if there is no content",
    example: "resource.digest in digests.approved",
  },
} as const satisfies Readonly<Record<string, FactText>>;

/** Names without an owner in front. */
export const PLAIN_FACTS = {
  access: { type: "string", text: "the access that is judged, as in `access:`", example: "access in ['read', 'execute']" },
  operation: {
    type: "string",
    text: "`open`, `create`, `tmpfile`, `mknod`, `mkdir`, `symlink`, `link`, `rename`, `unlink`, `rmdir` or `setattr`",
    example: "operation == 'mkdir'",
  },
} as const satisfies Readonly<Record<string, FactText>>;

export const CONDITION_FUNCTIONS: readonly string[] = [
  "size",
  "startsWith",
  "endsWith",
  "contains",
  "matches",
  "int",
  "uint",
  "double",
  "string",
  "bool",
  "bytes",
  "type",
  "dyn",
];
