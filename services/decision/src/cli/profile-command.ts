/** `sluice profile`: what is typed, and nothing of what it does. */
import type { Command } from "commander";
import type { ProfileFlags } from "./show-profile.js";

const NOTES = `
ASKED of the service, of these AGAIN for the same file, access, user and group under the same revision; KEPT: given again by mounts from
what they keep. With --policy WOULD: how many of those asked would still be asked if that policy decided, given what mounts keep of its
answers; what was KEPT is taken to be kept again. What would be decided differently shows 'sluice policy replay'.
`;

export function addProfileCommand(program: Command): void {
  program
    .command("profile")
    .description("where decisions and their time went, from a decision log, and what other rules would save")
    .argument("<log>", "a file that 'sluice decision --decision-log' wrote; -: standard input")
    .option("--policy <file>", "a candidate: how many questions, and how much time, it would save")
    .option("--json", "one JSON object on standard output, with every name")
    .addHelpText("after", NOTES)
    .action(async (log: string, flags: ProfileFlags) => (await import("./show-profile.js")).showProfile(log, flags));
}
