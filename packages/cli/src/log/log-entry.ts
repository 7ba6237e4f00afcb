/** Entries of `sluice log`: decisions, and gaps. As a line for a person. */
import type { LogItem } from "@sluice/mount-control";
import { escapeLine, escapeTextName } from "@sluice/runtime/cli";

/** `missed`: decisions that the reader was not sent, of any effect and rule. */
export type LogEntry = LogItem | { missed: number };

/** "13:05:22.123Z": the date is rarely in question, and `--json` has it. */
const TIME_OF_DAY = [11, 24] as const;
const EFFECT_WIDTH = "mediate".length;
const COUNT_WIDTH = 5;
const ACCESS_WIDTH = 5;

function callerText({ program, pid, uid }: LogItem): string {
  const name = program === null ? "a program" : escapeTextName(program);
  return `${name} (pid ${pid === null || pid === 0 ? "unknown" : pid}, uid ${uid})`;
}

export function lineOf(entry: LogEntry): string {
  if ("missed" in entry) return `... ${entry.missed} more decisions came too fast to be shown`;
  const { time, effect, count, rule, path, accesses, errno, source } = entry;
  const head = `${time.slice(...TIME_OF_DAY)}  ${effect.padEnd(EFFECT_WIDTH)}  ${`${count}x`.padStart(COUNT_WIDTH)}`;
  const by = `by ${escapeTextName(rule)}`;
  if (path === null) return escapeLine(`${head}  ${by}: too many in a second to tell paths and callers`);
  const access = (accesses ?? []).join(",").padEnd(ACCESS_WIDTH);
  const tail = [...(errno === null ? [] : [errno]), `from ${source}`].join(", ");
  return escapeLine(`${head}  ${access}  ${path === "" ? "." : escapeTextName(path)}  ${by}  ${callerText(entry)}  ${tail}`);
}
