/** The question that is measured with, and a decision as a service gives it. */
import type { Decision, PolicyRevision, Question } from "@sluice/decision-api";

export const REVISION: PolicyRevision = { sequence: 1n, digest: "a".repeat(64) };

export function questionFor(path: string, uid = 1000): Question {
  return {
    id: `q-bench-${path.length}`,
    operation: "open",
    accesses: ["read"],
    subject: { uid, gid: 100, pid: 4711 },
    resource: {
      mount: "bench",
      paths: [path],
      layer: "lower0",
      kind: "regular",
      sizeBytes: 4096n,
      mode: 0o100644,
      uid: 0,
      gid: 0,
      xattrs: new Map(),
    },
    openFlags: 0,
    missing: [],
    lookedFor: [],
  };
}

export function pathOf(index: number): string {
  return `srv/projects/p${index % 1000}/data/set-${Math.floor(index / 1000)}/file-${index}.dat`;
}

export function grantOf(index: number): Decision {
  return {
    effect: "grant",
    errno: 0,
    // A string of its own, as one off the wire is.
    decisionId: Buffer.from(`d-AbCdEfGhIjKlMnOp-${index.toString(36)}`).toString(),
    policyId: "policy.yaml",
    rule: "projects",
    revision: REVISION,
    reason: "rule 'projects' matches for read",
    obligations: [],
    source: "service",
    scope: { subtree: undefined, except: [], subject: ["uid"], resource: [], xattrs: [], accesses: ["read"], ttlMs: undefined },
  };
}
