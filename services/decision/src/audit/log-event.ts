/** One decision as an event of OPA's decision log, with further fields of Sluice's own. */
import type { Decision, Head, Question } from "@sluice/decision-api";

const isText = (bytes: Uint8Array): boolean => Buffer.from(bytes).equals(Buffer.from(Buffer.from(bytes).toString("utf8"), "utf8"));

/** The parts of the input that text cannot hold: names and values that are not UTF-8, in base64 and beside their text. */
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

const textOf = (bytes: string): string => Buffer.from(bytes, "latin1").toString("utf8");

/** Program and cgroup are byte strings, as paths are. */
function subjectOf({ executable, cgroup, ...ids }: Question["subject"]): Record<string, unknown> {
  const named = { executable, cgroup };
  const parts = Object.entries(named).flatMap(([name, bytes]): [string, unknown][] => {
    if (bytes === undefined) return [];
    const raw = Buffer.from(bytes, "latin1");
    const beside = `raw${name[0]?.toUpperCase()}${name.slice(1)}`;
    return [[name, textOf(bytes)], ...(isText(raw) ? [] : [[beside, raw.toString("base64")] as [string, unknown]])];
  });
  return { ...ids, ...Object.fromEntries(parts) };
}

/** Without its bytes, which may be anybody's secrets, a head says how long it was: whether it was all of the file can be told. */
function headOf({ bytes, askedBytes }: Head, heads: boolean): Record<string, unknown> {
  return { askedBytes, ...(heads ? { base64: Buffer.from(bytes).toString("base64") } : { bytes: bytes.length }) };
}

function inputOf(question: Question, heads: boolean): Record<string, unknown> {
  const { head, ...resource } = question.resource;
  return {
    operation: question.operation,
    accesses: question.accesses,
    subject: subjectOf(question.subject),
    ...(question.program === undefined ? {} : { program: textOf(question.program) }),
    resource: {
      ...resource,
      paths: resource.paths.map(textOf),
      sizeBytes: Number(resource.sizeBytes),
      xattrs: Object.fromEntries([...resource.xattrs].map(([name, value]) => [name, Buffer.from(value).toString("utf8")])),
      ...(head === undefined ? {} : { head: headOf(head, heads) }),
      ...rawParts(question),
    },
    openFlags: question.openFlags,
    missing: question.missing,
    lookedFor: question.lookedFor ?? [],
  };
}

const PATH = "sluice/decision";

export interface Made {
  question: Question;
  decision: Decision;
  tookNs: bigint;
  /** With the content of heads of files. */
  heads: boolean;
}

/** In OPA's words for a field that a mask removed. */
const NO_HEAD = { erased: ["/input/resource/head/base64"] };

export function decisionEvent({ question, decision, tookNs, heads }: Made): Record<string, unknown> {
  const sequence = decision.revision.sequence.toString();
  const { digest } = decision.revision;
  return {
    decision_id: decision.decisionId,
    question_id: question.id,
    path: PATH,
    bundles: { [decision.policyId]: { revision: `${sequence} ${digest}` } },
    policy: decision.policyId,
    revision: { sequence, digest },
    input: inputOf(question, heads),
    result: {
      effect: decision.effect,
      errno: decision.errno,
      rule: decision.rule,
      reason: decision.reason,
      obligations: decision.obligations,
    },
    ...(decision.answered === undefined ? {} : { answered: decision.answered }),
    requested_by: question.resource.mount,
    timestamp: new Date().toISOString(),
    metrics: { timer_server_handler_ns: Number(tookNs) },
    ...(heads || question.resource.head === undefined ? {} : NO_HEAD),
  };
}
