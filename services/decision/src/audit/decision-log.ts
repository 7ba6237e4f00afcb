/**
 * The decision log: one JSON line for each decision, in the shape of OPA's decision events. A decision is logged when it
 * is made, whether its asker still waits or not. Off unless asked for: it names every file that is opened.
 */
import type { Decision, Question } from "@sluice/decision-api";
import { type Destination, openLineLog } from "@sluice/runtime";

/** How often one decision was given again by a mount that keeps it. */
export interface KeptHits {
  decisionId: string;
  count: bigint;
}

export interface DecisionLog {
  record(question: Question, decision: Decision): void;
  /** Decisions given again, by reference. `reportId` repeats where a report came twice. */
  recordHits(mount: string, reportId: string, hits: readonly KeptHits[]): void;
  /** Resolves when everything recorded is written. */
  close(): Promise<void>;
}

/** "off", "stdout" or a file to append to. */
export type DecisionLogTarget = "off" | "stdout" | { file: string };

const OFF: DecisionLog = { record: () => undefined, recordHits: () => undefined, close: () => Promise.resolve() };

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
  const { resource } = question;
  return {
    operation: question.operation,
    accesses: question.accesses,
    subject: question.subject,
    resource: {
      ...resource,
      paths: resource.paths.map((path) => Buffer.from(path, "latin1").toString("utf8")),
      sizeBytes: Number(resource.sizeBytes),
      xattrs: Object.fromEntries([...resource.xattrs].map(([name, value]) => [name, Buffer.from(value).toString("utf8")])),
      ...rawParts(question),
    },
    openFlags: question.openFlags,
    missing: question.missing,
    lookedFor: question.lookedFor ?? [],
  };
}

/** Throws where the file cannot be opened. */
export function openDecisionLog(target: DecisionLogTarget, labels: Readonly<Record<string, string>>): DecisionLog {
  if (target === "off") return OFF;
  const destination: Destination = target === "stdout" ? { fd: 1 } : { file: target.file };
  const lines = openLineLog(destination);
  return {
    record(question, decision) {
      lines.write({
        decision_id: decision.decisionId,
        question_id: question.id,
        labels,
        policy: decision.policyId,
        revision: { sequence: decision.revision.sequence.toString(), digest: decision.revision.digest },
        input: inputOf(question),
        result: {
          effect: decision.effect,
          errno: decision.errno,
          rule: decision.rule,
          reason: decision.reason,
          obligations: decision.obligations,
        },
        timestamp: new Date().toISOString(),
      });
    },
    recordHits(mount, reportId, hits) {
      const timestamp = new Date().toISOString();
      for (const { decisionId, count } of hits)
        lines.write({ decision_id: decisionId, cached: true, count: Number(count), report_id: reportId, labels, mount, timestamp });
    },
    close: () => lines.close(),
  };
}
