/** A question about nothing special, to begin others from: an ordinary user who opens an ordinary file for reading. */
import type { Access, Operation, Question } from "./domain.js";

const REGULAR_644 = 0o100644;

/** `path` as a byte string. Nothing is missing, nothing beyond this was looked for. */
export function plainQuestion(path = "a", id = `q-${path}`): Question {
  return {
    id,
    operation: "open",
    accesses: ["read"],
    subject: { uid: 1, gid: 1, groups: [], pid: 1 },
    resource: {
      mount: "m",
      paths: [path],
      layer: "upper",
      kind: "regular",
      sizeBytes: 0n,
      mode: REGULAR_644,
      uid: 0,
      gid: 0,
      xattrs: new Map(),
    },
    openFlags: 0,
    missing: [],
  };
}

const OPERATION_OF: Readonly<Partial<Record<Access, Operation>>> = {
  create: "create",
  delete: "unlink",
  link: "link",
  rename: "rename",
  truncate: "setattr",
  metadata: "setattr",
};

/** The operation that asks for an access by itself, if nobody names one. */
export function usualOperation(access: Access | undefined): Operation {
  return (access === undefined ? undefined : OPERATION_OF[access]) ?? "open";
}
