/**
 * A file with more names than one question may hold is judged in parts, and the strictest answer holds, as for several names
 * in one question. So another hard link never makes an answer laxer, nor impossible.
 */
import { type Decision, QUESTION_LIMITS, type Question, strictest } from "@sluice/decision-api";
import type { Decide } from "./with-deadline.js";

/** In the order of the names, each part within the limits; a single name beyond them is a part of its own, to be refused. */
function partsOf(paths: readonly string[]): string[][] {
  const parts: string[][] = [];
  let part: string[] = [];
  let bytes = 0;
  for (const path of paths) {
    if (part.length === QUESTION_LIMITS.paths || bytes + path.length > QUESTION_LIMITS.allPathsBytes) {
      if (part.length > 0) parts.push(part);
      part = [];
      bytes = 0;
    }
    part.push(path);
    bytes += path.length;
  }
  parts.push(part);
  return parts;
}

function fits(paths: readonly string[]): boolean {
  if (paths.length === 1) return true;
  let bytes = 0;
  for (const path of paths) bytes += path.length;
  return paths.length <= QUESTION_LIMITS.paths && bytes <= QUESTION_LIMITS.allPathsBytes;
}

/** The whole answer may not be cached: the caller caches each part. */
function whole(decisions: readonly Decision[]): Decision {
  return { ...strictest(decisions), scope: undefined };
}

/** A file of 65,000 names has 250 parts: other work gets its turn of the event loop after a few of them. */
const PARTS_AT_ONCE = 4;

async function askParts(parts: readonly Question[], ask: (part: Question) => Promise<Decision>): Promise<Decision[]> {
  const asked: Promise<Decision>[] = [];
  for (const [at, part] of parts.entries()) {
    if (at > 0 && at % PARTS_AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
    const answer = ask(part);
    // One part may fail before all are asked.
    answer.catch(() => undefined);
    asked.push(answer);
  }
  return Promise.all(asked);
}

export function inParts(ask: Decide): Decide {
  return (question: Question, signal) => {
    const { resource } = question;
    if (fits(resource.paths)) return ask(question, signal);
    // Each part is a question of its own, shared by its repetitions: so its id is derived from the id of the whole.
    const parts = partsOf(resource.paths).map((paths, index) => ({
      ...question,
      id: `${question.id}.${index}`,
      resource: { ...resource, paths },
      // A person is asked about a file as a whole, or not at all.
      mayAsk: undefined,
      awaitsPersonMs: undefined,
    }));
    return askParts(parts, (part) => ask(part, signal)).then(whole);
  };
}
