/** `sluice top`: the activity of a mount, updated at an interval. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { wrong } from "@sluice/runtime/cli";
import { type ActivityReport, askOnce } from "@sluice/mount-control";
import { between, frame, isScreen, TerminalScreen, watchLive } from "@sluice/top";
import { placeOf } from "../place-of.js";
import { controlOption, MOUNT_ARGUMENT } from "./shared-options.js";

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
    throw wrong("--interval", `"${text}" is not a number of seconds of at least ${LEAST_SECONDS}`, "write for instance 2");
  }
  return seconds;
}

async function top(name: string, args: TopArguments): Promise<void> {
  const seconds = secondsOf(args.interval);
  const { mountpoint, control } = await placeOf(name, args.control);
  const look = async (): Promise<ActivityReport> => (await askOnce(mountpoint, control, { method: "activity" })) as ActivityReport;
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

/** Prints one report after another, until the reader or the mount is gone. */
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
TIME is an operation's share of the time that all requests took in the server, and WORST its longest request, in milliseconds. Each other
latency is an upper bound of that share of requests, in milliseconds. The first report knows no WORST and no pauses: the server measures them
while somebody watches. Reads and writes of a passthrough open go straight to the
kernel, so they are not among the requests. A path's count may belong to its last name alone.
DENIED has the most frequent denials with the program, the user and the newest pid; of a second's denials 200 get a name, and the last line
counts the others. Names and attributes that do not exist are no errors.
With --json each report is one object, which counts from the start of the server.

On a terminal: q quits, p (or space) pauses, s sorts by frequency, by errors and denials, or by latency, / filters rules, paths,
programs and copy-ups by a part of their name, Esc clears the filter, Ctrl-Z stops the job. If the mount goes away, top waits for it to come back.
In a pipe, and on a terminal without cursor control (TERM=dumb), top prints one report after another, and the end of the mount is an
error.
`;

export function addTopCommand(program: Command): void {
  program
    .command("top")
    .description(
      "show the activity of a mount: its server's time, requests, decisions, denials and callers, passthrough share, hottest rules and paths",
    )
    .argument("<mountpoint>", MOUNT_ARGUMENT)
    .option("--interval <seconds>", "time between two reports", "2")
    .option("--once", "print one report, of everything since the server started")
    .option("--json", "the counts as JSON")
    .addOption(controlOption())
    .addHelpText("after", NOTES)
    .action(top);
}
