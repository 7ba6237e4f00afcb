/** `sluice profile`: where decisions and their time went, from a recorded log. */
import type { Command } from "commander";
import { type LogProfile, profileLog, type Share } from "../audit/profile-log.js";
import { logLines } from "./log-lines.js";

const SHOWN = 10;
const printable = (text: string): string => text.replace(/\p{Cc}/gu, "?");
const HEAD = ["ASKED", "KEPT", "GRANT", "MEDIATE", "DENY", "P50 MS", "P99 MS", "SUM MS"];

function cells({ asked, kept, effects, tookMs }: Share): string[] {
  const ms = (value: number | undefined): string => (value === undefined ? "-" : value.toFixed(3));
  const counts = [asked, kept, effects.grant, effects.mediate, effects.deny].map(String);
  return [...counts, ms(tookMs?.p50), ms(tookMs?.p99), ms(tookMs?.sum)];
}

function list(title: string, shares: readonly Share[]): string[] {
  const rows = [HEAD, ...shares.slice(0, SHOWN).map(cells)];
  const widths = HEAD.map((_head, column) => Math.max(...rows.map((row) => (row[column] as string).length)));
  const lines = rows.map((row, index) => {
    const name = index === 0 ? title : printable((shares[index - 1] as Share).name);
    return `${row.map((cell, column) => cell.padStart(widths[column] as number)).join("  ")}  ${name}`;
  });
  return ["", ...lines, ...(shares.length > SHOWN ? [`and ${shares.length - SHOWN} more: see --json`] : [])];
}

function render(profile: LogProfile): string {
  const { all, from, to, unreadable } = profile;
  const total = all.asked + all.kept;
  const kept = total === 0 ? 0 : Math.round((all.kept / total) * 100);
  const lines = [
    `${total} decisions${from === undefined ? "" : `, from ${from} to ${to}`}: ${all.asked} asked, ${kept} % given again by mounts`,
  ];
  if (unreadable > 0) lines.push(`${unreadable} lines are none of a decision log`);
  lines.push(...list("RULE", profile.rules), ...list("DIRECTORY", profile.directories));
  lines.push(...list("PATH", profile.paths), ...list("SUBJECT", profile.subjects));
  return `${lines.join("\n")}\n`;
}

export function addProfileCommand(program: Command): void {
  program
    .command("profile")
    .description("where decisions and their time went, from a decision log: by rule, directory, path and subject")
    .argument("<log>", "a file that 'sluice decision --decision-log' wrote; -: standard input")
    .option("--json", "one JSON object on standard output, with every name")
    .action(async (log: string, { json }: { json?: true }) => {
      const profile = await profileLog(await logLines(log));
      process.stdout.write(json === true ? `${JSON.stringify(profile)}\n` : render(profile));
    });
}
