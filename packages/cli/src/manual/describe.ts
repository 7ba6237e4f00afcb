/** Reads the definitions of commands, for manual pages and completion. */
import type { Command, Option } from "commander";

/** "mount": the mount points of Sluice on this machine. */
export type Completes = "file" | "directory" | "mount" | "nothing";

export interface DescribedOption {
  /** "-o <options>", "--upper <dir>". */
  flags: string;
  /** "--upper"; of -o "-o". */
  names: string[];
  description: string;
  takesValue: boolean;
  /** Words that can be the value; with `completes`, the names of files can, too. */
  choices: readonly string[];
  completes: Completes;
}

export interface DescribedCommand {
  /** "sluice policy check", in words. */
  words: readonly string[];
  description: string;
  usage: string;
  arguments: { name: string; description: string; choices: readonly string[]; completes: Completes }[];
  options: DescribedOption[];
  commands: DescribedCommand[];
  /** The help text below the options. */
  notes: string;
}

/** `sluice mount` makes its mount point, an empty directory; other commands take one that exists. */
function argumentCompletes(name: string, description: string): Completes {
  if (/^mount(point)?$/.test(name)) return description.includes("empty directory") ? "directory" : "mount";
  return completesOf(name);
}

function completesOf(words: string): Completes {
  if (/dirs?\b/.test(words)) return "directory";
  return /file|log|socket|cases|path/.test(words) ? "file" : "nothing";
}

/** The description with the values and the default value, as in the help. */
function described({ description, argChoices = [], defaultValue }: Option): string {
  const more = argChoices.length === 0 ? [] : [`choices: ${argChoices.join(", ")}`];
  if (typeof defaultValue === "string") more.push(`default: ${defaultValue}`);
  return more.length === 0 ? description : `${description} (${more.join("; ")})`;
}

/** "<auto|strict>" names values, and "<auto|off|path>" a file besides. */
const namedValues = (value: string): string[] =>
  value.includes("|") ? value.split("|").filter((word) => completesOf(word) === "nothing") : [];

function describeOption(option: Option): DescribedOption {
  const value = /[<[](.*)[>\]]/.exec(option.flags)?.[1] ?? "";
  return {
    flags: option.flags,
    names: [option.short, option.long].filter((name) => name !== undefined),
    description: described(option),
    takesValue: option.required || option.optional,
    choices: option.argChoices ?? namedValues(value),
    completes: completesOf(value),
  };
}

/** The text after the generated help. */
function notesOf(command: Command): string {
  let whole = "";
  command.configureOutput({ writeOut: (text) => (whole += text) });
  command.outputHelp();
  return whole.slice(command.helpInformation().length).trim();
}

export function describeCommand(command: Command, above: readonly string[] = []): DescribedCommand {
  const words = [...above, command.name()];
  const help = command.createHelp();
  return {
    words,
    description: command.description(),
    usage: `${words.join(" ")} ${command.usage()}`.trim(),
    arguments: command.registeredArguments.map((argument) => {
      const { description, argChoices: choices = [] } = argument;
      const name = argument.required ? `<${argument.name()}>` : `[${argument.name()}]`;
      return { name, description, choices, completes: argumentCompletes(argument.name(), description) };
    }),
    options: help.visibleOptions(command).map(describeOption),
    commands: help
      .visibleCommands(command)
      .filter((each) => each.name() !== "help")
      .map((each) => describeCommand(each, words)),
    notes: notesOf(command),
  };
}

/** The command and all its subcommands. */
export function everyCommand(command: DescribedCommand): DescribedCommand[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}
