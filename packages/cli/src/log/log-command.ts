/** The command line of `sluice log`: its options, nothing of its work. */
import type { Command } from "commander";
import { controlOption } from "../commands/shared-options.js";
import type { LogArguments } from "./show-log.js";

const NOTES = `
Equal decisions of one second are one line with their number; the pid is that of the newest caller. A mount names at most 200
denials and 50 other decisions a second, three quarters of them of one user, and of 200 questions a second the program. It counts
all others by rule, as lines without path and caller, which no filter but --denied and --rule leaves out. So the numbers of all lines
add up to those of 'sluice status'.

A service knows its own answers, and the decisions that mounts took from their caches or in an outage, as they report once a second. It
needs --admin, and a token beyond loopback. On a terminal each decision is a line, in a pipe one JSON object.
`;

export function addLogCommand(program: Command): void {
  program
    .command("log")
    .description("show the newest decisions of a mount or a decision service: effect, path, rule, program, pid and user")
    .argument("<target>", "a mount point, a running session of 'sluice run', or http://HOST:PORT of a service's --admin")
    .option("-f, --follow", "keep showing decisions as they are made")
    .option("--denied", "denials alone")
    .option("--path <glob>", "decisions about these paths below the mount, as in a rule")
    .option("--rule <name>", "decisions by this rule")
    .option("--uid <uid>", "decisions about this user")
    .option("--json", "one JSON object per line on a terminal, too")
    .option("--token-file <file>", "the token of the service's console")
    .addOption(controlOption())
    .addHelpText("after", NOTES)
    .action(async (target: string, args: LogArguments) => (await import("./show-log.js")).showLog(target, args));
}
