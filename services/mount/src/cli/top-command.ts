/** `sluice top`: what goes on in a mount, again and again. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { wrong } from "../complaint.js";
import { askOnce } from "../control/control-client.js";
import type { ActivityReport } from "../control/control-protocol.js";
import { frame } from "../top/frame.js";
import { between } from "../top/rates.js";
import { TerminalScreen } from "../top/terminal-screen.js";

interface TopArguments {
  interval: string;
  once?: boolean;
  json?: boolean;
  control?: string;
}

const LEAST_SECONDS = 0.1;

function secondsOf(text: string): number {
  const seconds = Number(text);
  if (text.trim() === "" || !(seconds >= LEAST_SECONDS)) {
    throw wrong("--interval", `"${text}" is no number of seconds from ${LEAST_SECONDS} on`, "write for instance 2");
  }
  return seconds;
}

async function top(mountpoint: string, args: TopArguments): Promise<void> {
  const seconds = secondsOf(args.interval);
  const look = async (): Promise<ActivityReport> => (await askOnce(mountpoint, args.control, { method: "activity" })) as ActivityReport;
  const first = await look();
  if (args.once === true) {
    const lines = args.json === true ? [JSON.stringify(first)] : frame(between(undefined, first), "since the server started");
    process.stdout.write(`${lines.join("\n")}\n`);
    return;
  }
  const screen = args.json === true || !process.stdout.isTTY ? undefined : new TerminalScreen();
  try {
    await follow(first, { look, seconds, json: args.json === true, screen });
  } finally {
    screen?.close();
  }
}

interface Following {
  look(): Promise<ActivityReport>;
  seconds: number;
  json: boolean;
  /** Undefined in a pipe: one picture after the other. */
  screen: TerminalScreen | undefined;
}

async function follow(first: ActivityReport, { look, seconds, json, screen }: Following): Promise<void> {
  let before = first;
  screen?.show(frame(between(undefined, first), `since the server started; q ends, every ${seconds} s`));
  while (!(screen?.ended.aborted ?? false)) {
    await sleep(seconds * 1000, undefined, { signal: screen?.ended }).catch(() => undefined);
    if (screen?.ended.aborted) return;
    const now = await look();
    const lines = json ? [JSON.stringify(now)] : frame(between(before, now), `every ${seconds} s${screen === undefined ? "" : "; q ends"}`);
    before = now;
    if (screen !== undefined) screen.show(lines);
    else process.stdout.write(`${lines.join("\n")}\n${json ? "" : "\n"}`);
  }
}

const NOTES = `
Latencies are bounds that the share did not pass, in milliseconds. What passes through the kernel does not come to the daemon: reads
and writes of such opens are not among the requests. A path's count may be of its last name only.
With --json one object a report, of everything that was counted since the server started.
`;

export function addTopCommand(program: Command): void {
  program
    .command("top")
    .description("what goes on: requests, decisions, passthrough share, latencies, hottest rules and paths, copy-ups")
    .argument("<mountpoint>")
    .option("--interval <seconds>", "how often to look", "2")
    .option("--once", "look once: everything since the server started")
    .option("--json", "the counts as JSON")
    .option("--control <socket>", "control socket, if the mount was given one")
    .addHelpText("after", NOTES)
    .action(top);
}
