/** Runs `sluice profile`: shows decisions and their time from a recorded log. */
import type { Policy } from "@sluice/policy-backends";
import { counted, escapeLine } from "@sluice/runtime/cli";
import { type LogProfile, profileLog, type Share } from "../audit/profile-log.js";
import { logLines, refuseOtherFile, unreadableLines } from "./log-lines.js";
import { withPolicy } from "./with-policy.js";

const SHOWN = 10;

/** A column: its head and its cells. WOULD is there only with a candidate. */
type Column = readonly [head: string, cell: (share: Share) => string];
const ms = (value: number | undefined): string => (value === undefined ? "-" : value.toFixed(3));
const COLUMNS: readonly Column[] = [
  ["ASKED", ({ asked }) => String(asked)],
  ["AGAIN", ({ again }) => String(again)],
  ["WOULD", ({ would }) => String(would ?? "-")],
  ["KEPT", ({ kept }) => String(kept)],
  ["GRANT", ({ effects }) => String(effects.grant)],
  ["MEDIATE", ({ effects }) => String(effects.mediate)],
  ["DENY", ({ effects }) => String(effects.deny)],
  ["P50 MS", ({ tookMs }) => ms(tookMs?.p50)],
  ["P99 MS", ({ tookMs }) => ms(tookMs?.p99)],
  ["SUM MS", ({ tookMs }) => ms(tookMs?.sum)],
];

function list(title: string, shares: readonly Share[]): string[] {
  const columns = COLUMNS.filter(([head]) => head !== "WOULD" || shares.some(({ would }) => would !== undefined));
  const shown = shares.slice(0, SHOWN);
  const rows = [columns.map(([head]) => head), ...shown.map((share) => columns.map(([, cell]) => cell(share)))];
  const widths = columns.map((_column, index) => Math.max(...rows.map((row) => (row[index] as string).length)));
  const lines = rows.map((row, index) => {
    const name = index === 0 ? title : escapeLine((shown[index - 1] as Share).name);
    return `${row.map((cell, column) => cell.padStart(widths[column] as number)).join("  ")}  ${name}`;
  });
  return ["", ...lines, ...(shares.length > SHOWN ? [`and ${shares.length - SHOWN} more: see --json`] : [])];
}

/** The savings of a change of the rules, in words. */
function savings({ all, failed, firstFailure }: LogProfile, candidate: string | undefined): string[] {
  const share = (part: number, of: number): string => `${of === 0 ? 0 : Math.round((part / of) * 100)} %`;
  if (candidate === undefined || all.would === undefined)
    return [
      `${all.again} of them (${share(all.again, all.asked)}) asked again for the same file, access and user: rules that look at no more would save these`,
    ];
  const saved = all.asked - all.would;
  const time = all.tookMs === undefined ? "" : ` and ${ms(all.tookMs.saved)} of ${ms(all.tookMs.sum)} ms in the service`;
  const lines = [`with ${escapeLine(candidate)} ${all.would} would be asked: it saves ${share(saved, all.asked)} of the questions${time}`];
  if (failed !== undefined && failed > 0) lines.push(`it gives no answer to ${failed}; to the first: ${escapeLine(firstFailure ?? "")}`);
  return lines;
}

function render(profile: LogProfile, candidate: string | undefined): string {
  const { all, from, to, unreadable } = profile;
  const total = all.asked + all.kept;
  const sharePercent = total === 0 ? 0 : Math.round((all.kept / total) * 100);
  const lines = [
    `${counted(total, "decision")}${from === undefined ? "" : `, from ${from} to ${to}`}: ${all.asked} asked, ${sharePercent} % given again by mounts`,
  ];
  lines.push(...savings(profile, candidate));
  if (unreadable > 0) lines.push(unreadableLines(unreadable));
  lines.push(...list("RULE", profile.rules), ...list("DIRECTORY", profile.directories));
  lines.push(...list("PATH", profile.paths), ...list("SUBJECT", profile.subjects));
  return `${lines.join("\n")}\n`;
}

export interface ProfileFlags {
  json?: true;
  policy?: string;
}

export async function showProfile(log: string, { json, policy: file }: ProfileFlags): Promise<void> {
  const show = async (candidate?: Policy): Promise<void> => {
    const found = await profileLog(await logLines(log), candidate);
    refuseOtherFile(log, { read: found.all.asked + found.all.kept, unreadable: found.unreadable });
    process.stdout.write(json === true ? `${JSON.stringify(found)}\n` : render(found, file));
  };
  await (file === undefined ? show() : withPolicy(file, show));
}
