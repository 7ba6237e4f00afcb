/** The command line of `sluice profile`: its options, nothing of its work. */
import { wrong } from "@sluice/runtime/cli";
import type { Command } from "commander";
import type { ProfileFlags } from "./show-profile.js";

const NOTES = `
ASKED: questions to the service. AGAIN: those that the same mount had asked before of the same file, access, user and group, under the
same revision. KEPT: hits in the caches of mounts. With --policy WOULD: the questions that would still be asked if that policy decided,
given the cached answers that it allows; KEPT stays as it is. 'sluice policy replay' shows changed decisions.

With --live root, or the user of the server, gets a flame graph of the mount's server from V8's own profiler. The beginning and the end of
a profile stop the server for some hundredths of a second each.
`;

/** Profiles the server of a mount; `duration` and flags as they were typed. */
export type ProfileLive = (mountpoint: string, duration: string | undefined, flags: { out: string; control?: string }) => Promise<void>;

interface AllFlags extends ProfileFlags {
  live?: string;
  out: string;
  control?: string;
}

async function profile(
  log: string | undefined,
  { live, out, control, ...flags }: AllFlags,
  profileLive: ProfileLive | undefined,
): Promise<void> {
  if (live !== undefined && profileLive !== undefined) {
    if (flags.policy !== undefined || flags.json === true)
      throw wrong("--live", "--policy and --json belong to a decision log", "leave them out");
    return profileLive(live, log, { out, ...(control === undefined ? {} : { control }) });
  }
  if (log === undefined) throw wrong("profile", "nothing to profile", "name a decision log, or a mount with --live");
  return (await import("./show-profile.js")).showProfile(log, flags);
}

/** Without `profileLive` it takes decision logs alone. */
export function addProfileCommand(program: Command, profileLive?: ProfileLive): void {
  const command = program
    .command("profile")
    .description("profile decisions and their time from a decision log, and the savings of other rules; or a running mount")
    .argument(
      "[log]",
      "a file that 'sluice decision --decision-log' wrote; -: standard input. With --live: how long, such as 30s (default 10s)",
    )
    .option("--policy <file>", "a candidate: how many questions, and how much time, it would save")
    .option("--json", "one JSON object on standard output, with every name")
    .addHelpText("after", NOTES)
    .action((log: string | undefined, flags: AllFlags) => profile(log, flags, profileLive));
  if (profileLive === undefined) return;
  command
    .option("--live <mountpoint>", "profile the server of this mount: a flame graph of its functions")
    .option("--out <file>", "with --live: the SVG to write; -: standard output", "sluice-profile.svg")
    .option("--control <socket>", "with --live: the control socket, if it is not found by the mount point");
}
