/** A question on the wire, and the unary way to ask it. For tests. */
import { wire } from "@sluice/decision-api";

export function question(path: string, change: Partial<wire.Question> = {}): wire.Question {
  return {
    operation: wire.Operation.OPEN,
    accesses: [wire.Access.READ],
    subject: { uid: 1, gid: 1, groups: [], pid: 1, executable: "", cgroup: "" },
    resource: {
      mount: "m",
      paths: [Buffer.from(path)],
      layer: "upper",
      kind: wire.FileKind.REGULAR,
      size: 0n,
      mode: 0o100644,
      uid: 0,
      gid: 0,
      xattrs: {},
    },
    openFlags: 0,
    missing: [],
    lookedFor: [],
    ...change,
  };
}

export const decide = (from: wire.DecisionServiceClient, request: wire.DecideRequest): Promise<wire.DecideResponse> =>
  new Promise((resolve, reject) => from.decide(request, (error, response) => (error === null ? resolve(response) : reject(error))));
