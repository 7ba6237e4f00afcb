/** One decision as an event of OPA's decision log, with what Sluice says beyond that. */
import type { Decision, Question } from "@sluice/decision-api";

const isText = (bytes: Uint8Array): boolean => Buffer.from(bytes).equals(Buffer.from(Buffer.from(bytes).toString("utf8"), "utf8"));

/** What text cannot say of the input: names and values that are no UTF-8, in base64 and beside their text. */
function rawParts({ resource }: Question): Record<string, unknown> {
  const paths = resource.paths.map((path) => Buffer.from(path, "latin1"));
  const xattrs = [...resource.xattrs].filter(([, value]) => !isText(value));
  return {
    ...(paths.every(isText) ? {} : { rawPaths: paths.map((path) => path.toString("base64")) }),
    ...(xattrs.length === 0
      ? {}
      : { rawXattrs: Object.fromEntries(xattrs.map(([name, value]) => [name, Buffer.from(value).toString("base64")])) }),
  };
}

function inputOf(question: Question): Record<string, unknown> {
  const { head, ...resource } = question.resource;
  return {
    operation: question.operation,
    accesses: question.accesses,
    subject: question.subject,
    resource: {
      ...resource,
      paths: resource.paths.map((path) => Buffer.from(path, "latin1").toString("utf8")),
      sizeBytes: Number(resource.sizeBytes),
      xattrs: Object.fromEntries([...resource.xattrs].map(([name, value]) => [name, Buffer.from(value).toString("utf8")])),
      ...(head === undefined ? {} : { head: { askedBytes: head.askedBytes, base64: Buffer.from(head.bytes).toString("base64") } }),
      ...rawParts(question),
    },
    openFlags: question.openFlags,
    missing: question.missing,
    lookedFor: question.lookedFor ?? [],
  };
}

const PATH = "sluice/decision";

export function decisionEvent(question: Question, decision: Decision, tookNs: bigint): Record<string, unknown> {
  const sequence = decision.revision.sequence.toString();
  const { digest } = decision.revision;
  return {
    decision_id: decision.decisionId,
    question_id: question.id,
    path: PATH,
    bundles: { [decision.policyId]: { revision: `${sequence} ${digest}` } },
    policy: decision.policyId,
    revision: { sequence, digest },
    input: inputOf(question),
    result: {
      effect: decision.effect,
      errno: decision.errno,
      rule: decision.rule,
      reason: decision.reason,
      obligations: decision.obligations,
    },
    requested_by: question.resource.mount,
    timestamp: new Date().toISOString(),
    metrics: { timer_server_handler_ns: Number(tookNs) },
  };
}
