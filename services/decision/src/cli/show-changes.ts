/** Shows on a terminal how answers of policies differ. */
import { ALL_ACCESSES } from "@sluice/decision-api";
import { counted, escapeLine, escapeTextName } from "@sluice/runtime";
import type { Change, Changes, ChangeSide, PathChange } from "../audit/change-tally.js";
import type { Replay } from "../audit/replay-log.js";
import { unreadableLines } from "./log-lines.js";

const SHOWN = 20;

function sideText({ effect, rule, obligations }: ChangeSide): string {
  const duties = Object.entries(obligations ?? {}).map(([name, value]) => `${name}: ${value}`);
  return `${effect} '${rule}'${obligations === undefined ? "" : ` (${duties.join(", ") || "no obligations"})`}`;
}

const arrow = ({ was, now }: Change): string => `${sideText(was)} -> ${sideText(now)}`;

function pathText({ path, accesses, ...change }: PathChange): string {
  const listed = accesses?.length === ALL_ACCESSES.length ? "every access" : accesses?.join(", ");
  return `${escapeTextName(path === "" ? "." : path)}${listed === undefined ? "" : ` (${listed})`}: ${arrow(change)}`;
}

/** `head`: the lines before the lists; `counted`: the things that were. */
export function showChanges(head: readonly string[], { byRule, byPath, firstFailure }: Changes, counted: string): string {
  const lines = [...head];
  if (firstFailure !== undefined) lines.push(`the first without an answer: ${firstFailure}`);
  const list = <Each extends Change>(title: string, changes: readonly Each[], name: (change: Each) => string): void => {
    if (changes.length === 0) return;
    lines.push("", title, ...changes.slice(0, SHOWN).map((change) => `${String(change.count).padStart(8)}  ${name(change)}`));
    if (changes.length > SHOWN) lines.push(`          and ${changes.length - SHOWN} more: see --json`);
  };
  list(`by rule (${counted}):`, byRule, arrow);
  list("by path:", byPath, pathText);
  return `${lines.map(escapeLine).join("\n")}\n`;
}

/** Of a decision log. */
export function showReplay(replay: Replay): string {
  const { decisions, given, unreadable } = replay;
  const part = (kind: "same" | "different" | "failed", words: string): string =>
    `${replay[kind]} ${words}${given[kind] === 0 ? "" : ` (${counted(given[kind], "time")})`}`;
  const parts = [part("same", "the same"), part("different", "different"), part("failed", "without an answer")].join(", ");
  const head = [`${counted(decisions, "decision")}, given ${counted(given.decisions, "time")}: ${parts}`];
  if (unreadable > 0) head.push(unreadableLines(unreadable));
  return showChanges(head, replay, "times, with repetitions from the caches of mounts");
}
