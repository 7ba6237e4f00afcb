/** The lines that differ, with three lines of context, as in a unified diff. */
import { diffArrays } from "diff";

const CONTEXT = 3;
/** Beyond it a search for the shortest difference takes too long, and nobody reads it. */
const MAX_EDITS = 5000;

interface Line {
  sign: " " | "-" | "+";
  text: string;
}

export interface TextHunks {
  text: string;
  added: number;
  removed: number;
}

/** With their newlines; the last one may have none. */
export function linesOf(content: Buffer): string[] {
  return content.toString("latin1").match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

function editsOf(before: string[], after: string[]): Line[] {
  const lines = (sign: Line["sign"], texts: readonly string[]): Line[] => texts.map((text) => ({ sign, text }));
  const changes = before.length === 0 || after.length === 0 ? undefined : diffArrays(before, after, { maxEditLength: MAX_EDITS });
  if (changes === undefined) return [...lines("-", before), ...lines("+", after)];
  return changes.flatMap(({ added, removed, value }) => lines(added ? "+" : removed ? "-" : " ", value));
}

/** Ranges of lines around the changed ones; those that touch are one. */
function rangesOf(lines: readonly Line[]): { start: number; end: number }[] {
  const ranges: { start: number; end: number }[] = [];
  for (const [at, { sign }] of lines.entries()) {
    if (sign === " ") continue;
    const [start, end] = [Math.max(0, at - CONTEXT), Math.min(lines.length, at + CONTEXT + 1)];
    const last = ranges.at(-1);
    if (last !== undefined && start <= last.end) last.end = end;
    else ranges.push({ start, end });
  }
  return ranges;
}

const count = (lines: readonly Line[], without: Line["sign"]): number => lines.filter(({ sign }) => sign !== without).length;

/** An empty range is named by the line in front of it. */
function range(start: number, length: number): string {
  return `${length === 0 ? start : start + 1},${length}`;
}

function shown({ sign, text }: Line): string {
  return text.endsWith("\n") ? sign + text : `${sign}${text}\n\\ No newline at end of file\n`;
}

export function textHunks(before: Buffer, after: Buffer): TextHunks {
  const lines = editsOf(linesOf(before), linesOf(after));
  let [oldLine, newLine, seen] = [0, 0, 0];
  const hunks = rangesOf(lines).map(({ start, end }) => {
    const skipped = start - seen;
    const hunk = lines.slice(start, end);
    const [olds, news] = [count(hunk, "+"), count(hunk, "-")];
    const head = `@@ -${range(oldLine + skipped, olds)} +${range(newLine + skipped, news)} @@\n`;
    oldLine += skipped + olds;
    newLine += skipped + news;
    seen = end;
    return head + hunk.map(shown).join("");
  });
  const signs = (wanted: Line["sign"]): number => lines.filter(({ sign }) => sign === wanted).length;
  return { text: hunks.join(""), added: signs("+"), removed: signs("-") };
}
