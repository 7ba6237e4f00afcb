/** A recorded decision log against another policy, or against two: the changes, by rule and by path. Changes nothing itself. */
import type { Policy } from "@sluice/policy-backends";
import { type Changes, ChangeTally } from "./change-tally.js";
import { type LogLine, readLogLine } from "./read-decision-log.js";

type Recorded = Extract<LogLine, { kind: "decision" }>;

export interface Replay extends Changes {
  /** Lines that belong to no decision log, or are cut off. */
  unreadable: number;
}

/** Questions asked at once: engines elsewhere take many together. */
const AT_ONCE = 64;

/**
 * Hedged and repeated questions share an id, and are counted once; so are reports of hits. `before`: its answers are the earlier ones,
 * in place of those in the log.
 */
export async function replayLog(lines: AsyncIterable<string>, policy: Policy, before?: Policy): Promise<Replay> {
  const tally = new ChangeTally();
  let unreadable = 0;
  const seen = new Set<string>();
  let together: Recorded[] = [];
  const ask = async ({ decisionId: id, question, result }: Recorded): Promise<void> => {
    try {
      const was = before === undefined ? result : await before.evaluate(question);
      tally.record({ id, path: question.resource.paths[0] ?? "", was, now: await policy.evaluate(question) });
    } catch (error) {
      tally.failed(id, error);
    }
  };
  const flush = async (): Promise<void> => {
    const batch = together;
    together = [];
    await Promise.all(batch.map(ask));
  };
  for await (const text of lines) {
    if (text.trim() === "") continue;
    const line = readLogLine(text);
    const key =
      line.kind === "decision" ? `q${line.question.id}` : line.kind === "hits" ? `h${line.reportId} ${line.decisionId}` : undefined;
    if (key !== undefined && seen.has(key)) continue;
    if (key !== undefined) seen.add(key);
    if (line.kind === "unreadable") unreadable++;
    else if (line.kind === "decision") together.push(line);
    else {
      await flush();
      tally.hits(line.decisionId, line.count);
    }
    if (together.length >= AT_ONCE) await flush();
  }
  await flush();
  return { ...tally.done(), unreadable };
}
