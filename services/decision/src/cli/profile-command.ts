/** The command line of `sluice profile`: its options, nothing of its work. */
import type { Command } from "commander";
import type { ProfileFlags } from "./show-profile.js";

const NOTES = `
ASKED: questions to the service. AGAIN: those that the same mount had asked before of the same file, access, user and group, under the
same revision. KEPT: hits in the caches of mounts. With --policy WOULD: the questions that would still be asked if that policy decided,
given the cached answers that it allows; KEPT stays as it is. 'sluice policy replay' shows changed decisions.
`;

export function addProfileCommand(program: Command): void {
  program
    .command("profile")
    .description("profile decisions and their time from a decision log, and the savings of other rules")
    .argument("<log>", "a file that 'sluice decision --decision-log' wrote; -: standard input")
    .option("--policy <file>", "a candidate: how many questions, and how much time, it would save")
    .option("--json", "one JSON object on standard output, with every name")
    .addHelpText("after", NOTES)
    .action(async (log: string, flags: ProfileFlags) => (await import("./show-profile.js")).showProfile(log, flags));
}
