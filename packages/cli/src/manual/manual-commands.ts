/** `sluice man` and `sluice completion`, generated from the definitions of the commands. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { CliError, EXIT, makeDirectories } from "@sluice/runtime/cli";
import { Argument, type Command } from "commander";
import { completionFor, SHELLS, type Shell } from "./completion.js";
import { describeCommand, type DescribedCommand, everyCommand } from "./describe.js";
import { manualPage, pageName } from "./manual-page.js";

function find(program: DescribedCommand, names: readonly string[]): DescribedCommand {
  const wanted = ["sluice", ...names].join(" ");
  const found = everyCommand(program).find(({ words }) => words.join(" ") === wanted);
  if (found !== undefined) return found;
  throw new CliError({ object: wanted, problem: "there is no such command", remedy: "see 'sluice --help'", exitCode: EXIT.USAGE });
}

function writeAll(program: DescribedCommand, directory: string): void {
  try {
    makeDirectories(directory);
    for (const command of everyCommand(program)) writeFileSync(join(directory, `${pageName(command)}.1`), manualPage(command));
  } catch (cause) {
    const errno = (cause as NodeJS.ErrnoException).code;
    const told = { object: directory, problem: "the pages cannot be written there", errno, remedy: "name a directory that can be written" };
    throw new CliError({ ...told, exitCode: EXIT.USAGE }, { cause });
  }
}

const PAGES = `
Examples:
  sluice man mount | man -l -
  sluice man --to /usr/local/share/man/man1
`;

const SOURCES = `
Examples:
  eval "$(sluice completion bash)"                                     in ~/.bashrc
  sluice completion zsh > /usr/local/share/zsh/site-functions/_sluice
  sluice completion fish > ~/.config/fish/completions/sluice.fish
`;

export function addManualCommands(program: Command): void {
  program
    .command("man")
    .description("manual pages: one on standard output, or all of them into a directory")
    .argument("[command...]", "the command whose page is wanted: 'policy check'; sluice itself by default")
    .option("--to <dir>", "write the pages of all commands there")
    .addHelpText("after", PAGES)
    .action((names: string[], { to }: { to?: string }) => {
      const described = describeCommand(program);
      if (to !== undefined) writeAll(described, to);
      else process.stdout.write(manualPage(find(described, names)));
    });
  program
    .command("completion")
    .description("completion of commands, options and their values for a shell")
    .addArgument(new Argument("<shell>", "for which").choices(SHELLS))
    .addHelpText("after", SOURCES)
    .action((shell: Shell) => void process.stdout.write(completionFor(shell, describeCommand(program))));
}
