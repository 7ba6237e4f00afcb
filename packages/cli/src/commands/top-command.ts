/** `sluice top`: what goes on in a mount, again and again. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { wrong } from "@sluice/runtime/cli";
import { type ActivityReport, askOnce } from "@sluice/mount-control";
import { between, frame, isScreen, TerminalScreen, watchLive } from "@sluice/top";

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
  if (args.json === true || !isScreen()) return printOn(first, look, { seconds, json: args.json === true });
  const screen = new TerminalScreen();
  try {
    await watchLive(first, { look, seconds, screen });
  } finally {
    screen.close();
  }
}

/** One picture after the other, until the reader or the mount goes. */
async function printOn(first: ActivityReport, look: () => Promise<ActivityReport>, how: { seconds: number; json: boolean }): Promise<void> {
  for (let before = first; ; ) {
    await sleep(how.seconds * 1000);
    const now = await look();
    const lines = how.json ? [JSON.stringify(now)] : [...frame(between(before, now), `every ${how.seconds} s`), ""];
    before = now;
    process.stdout.write(`${lines.join("\n")}\n`);
  }
}

const NOTES = `
Latencies are bounds that the share did not pass, in milliseconds. What passes through the kernel does not come to the daemon: reads
and writes of such opens are not among the requests. A path's count may be of its last name only.
With --json one object a report, of everything that was counted since the server started.

On a terminal: q ends, p (or space) pauses, s sorts by what is most frequent, by errors and denials, or by what is slowest, / filters
rules, paths and copy-ups by a part of their name, Esc takes the filter away, Ctrl-Z stops the job. When the mount goes away it waits
for it to come back. In a pipe, and on a terminal that knows no more than lines (TERM=dumb), one picture follows the other, and the
mount's end is an error.
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
