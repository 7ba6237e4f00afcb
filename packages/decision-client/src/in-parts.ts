/**
 * A file of more names than one question may hold is judged in parts, and the strictest answer holds: as for several names
 * in one question, so that another hard link never makes an answer laxer, nor impossible to have.
 */
import { type Decision, QUESTION_LIMITS, type Question, strictest } from "@sluice/decision-api";
import type { Ask } from "./with-deadline.js";

/** In the order of the names, each part within the limits; a single name over them is a part of its own, to be refused. */
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

/** The whole may not be kept: each part is, by whoever asks. */
function whole(decisions: readonly Decision[]): Decision {
  return { ...strictest(decisions), scope: undefined };
}

export function inParts(ask: Ask): Ask {
  return (question: Question, signal) => {
    const { resource } = question;
    if (fits(resource.paths)) return ask(question, signal);
    // Each part is a question of its own, which repetitions of it share: so it has an id of its own, made from the whole's.
    const parts = partsOf(resource.paths).map((paths, index) => ({
      ...question,
      id: `${question.id}.${index}`,
      resource: { ...resource, paths },
    }));
    return Promise.all(parts.map((part) => ask(part, signal))).then(whole);
  };
}
