/** Lines of a decision log → questions and answers. Tells apart other lines, and decisions that cannot be asked again. */
import { ALL_ACCESSES, ALL_OPERATIONS, type Effect, type Question } from "@sluice/decision-api";

export type LogLine =
  | {
      kind: "decision";
      decisionId: string;
      question: Question;
      result: { effect: Effect; errno: number; rule: string };
      /** Digest of the policy that decided; undefined where the line does not say it. */
      revision: string | undefined;
      /** In the service. */
      tookNs: number | undefined;
      /** ISO 8601. */
      timestamp: string | undefined;
    }
  /** A mount gave the decision again, so often. */
  | { kind: "hits"; decisionId: string; reportId: string; count: number }
  | { kind: "unreadable" };

interface LoggedInput {
  operation: Question["operation"];
  accesses: Question["accesses"];
  subject: Question["subject"] & { rawExecutable?: string; rawCgroup?: string };
  resource: {
    mount: string;
    paths: string[];
    rawPaths?: string[];
    layer: string;
    kind: Question["resource"]["kind"];
    sizeBytes: number;
    mode: number;
    uid: number;
    gid: number;
    xattrs: Record<string, string>;
    rawXattrs?: Record<string, string>;
    head?: { askedBytes: number; base64: string };
    digest?: string;
  };
  openFlags: number;
  missing: Question["missing"];
  lookedFor?: readonly string[];
}

/** As openDecisionLog writes it; a wrong line shows when it is used. */
interface LoggedLine {
  decision_id: string;
  question_id: string;
  report_id: string;
  cached?: boolean;
  count: number;
  input: LoggedInput;
  result: { effect: Effect; errno: number; rule: string };
  timestamp?: unknown;
  revision?: { digest?: unknown };
  metrics?: { timer_server_handler_ns?: unknown };
  /** Parts that were left out since they are too long: the question cannot be asked again. */
  omitted?: unknown;
}

const EFFECTS: ReadonlySet<unknown> = new Set<Effect>(["grant", "mediate", "ask", "deny"]);

function bytesOf(text: string | undefined, raw: string | undefined): string | undefined {
  if (raw !== undefined) return Buffer.from(raw, "base64").toString("latin1");
  return text === undefined ? undefined : Buffer.from(text, "utf8").toString("latin1");
}

function subjectOf({ rawExecutable, rawCgroup, ...subject }: LoggedInput["subject"]): Question["subject"] {
  const executable = bytesOf(subject.executable, rawExecutable);
  const cgroup = bytesOf(subject.cgroup, rawCgroup);
  return { ...subject, ...(executable === undefined ? {} : { executable }), ...(cgroup === undefined ? {} : { cgroup }) };
}

function questionOf(id: string, input: LoggedInput): Question {
  const { paths, rawPaths, xattrs, rawXattrs, sizeBytes, head, ...resource } = input.resource;
  const known = ALL_OPERATIONS.includes(input.operation) && input.accesses.every((access) => ALL_ACCESSES.includes(access));
  if (!known || paths.length === 0 || typeof input.subject.uid !== "number") throw new Error("it is no question");
  const values = new Map<string, Uint8Array>(Object.entries(xattrs).map(([name, value]) => [name, Buffer.from(value, "utf8")]));
  for (const [name, value] of Object.entries(rawXattrs ?? {})) values.set(name, Buffer.from(value, "base64"));
  return {
    id,
    operation: input.operation,
    accesses: input.accesses,
    subject: subjectOf(input.subject),
    resource: {
      ...resource,
      paths:
        rawPaths?.map((raw) => Buffer.from(raw, "base64").toString("latin1")) ??
        paths.map((path) => Buffer.from(path, "utf8").toString("latin1")),
      sizeBytes: BigInt(sizeBytes),
      xattrs: values,
      // A masked part is missing.
      ...(typeof head?.base64 === "string" ? { head: { askedBytes: head.askedBytes, bytes: Buffer.from(head.base64, "base64") } } : {}),
    },
    openFlags: input.openFlags,
    missing: input.missing,
    lookedFor: input.lookedFor ?? [],
  };
}

/** Never throws. */
export function readLogLine(line: string): LogLine {
  try {
    const entry = JSON.parse(line) as LoggedLine;
    const { decision_id: decisionId } = entry;
    if (typeof decisionId !== "string") return { kind: "unreadable" };
    if (entry.cached === true) return { kind: "hits", decisionId, reportId: entry.report_id, count: entry.count };
    const result = entry.result;
    if (!EFFECTS.has(result.effect) || entry.omitted !== undefined) return { kind: "unreadable" };
    const question = questionOf(entry.question_id, entry.input);
    const digest = entry.revision?.digest;
    const took = entry.metrics?.timer_server_handler_ns;
    return {
      kind: "decision",
      decisionId,
      question,
      result,
      revision: typeof digest === "string" ? digest : undefined,
      tookNs: typeof took === "number" ? took : undefined,
      timestamp: typeof entry.timestamp === "string" ? entry.timestamp : undefined,
    };
  } catch {
    return { kind: "unreadable" };
  }
}
