/** Completion for shells: commands, options, choices, and files. */
import { type Completes, type DescribedCommand, type DescribedOption, everyCommand } from "./describe.js";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
/** Without characters that have a meaning in zsh's specifications. */
const plain = (text: string): string => text.replace(/[[\]:'"\\`$]/g, " ");
const firstLine = (text: string): string => text.split("\n", 1)[0] as string;
const argumentChoices = ({ arguments: all }: DescribedCommand): string[] => all.flatMap(({ choices }) => choices);
const optionNames = ({ options }: DescribedCommand): string[] => options.flatMap(({ names }) => names);

function bashValues({ choices, completes }: DescribedOption): string {
  if (choices.length > 0) return `COMPREPLY=($(compgen -W ${quoted(choices.join(" "))} -- "$word"))`;
  return bashFiles(completes);
}

function bashFiles(completes: Completes): string {
  switch (completes) {
    case "directory":
      return 'COMPREPLY=($(compgen -d -- "$word"))';
    case "file":
      return 'COMPREPLY=($(compgen -f -- "$word"))';
    case "nothing":
      return "COMPREPLY=()";
  }
}

function bashCommand(command: DescribedCommand): string[] {
  const words = [...command.commands.map(({ words: path }) => path.at(-1) as string), ...argumentChoices(command), ...optionNames(command)];
  const valued = command.options.filter(({ takesValue }) => takesValue);
  const values = valued.map((option) => `        ${option.names.join("|")}) ${bashValues(option)}; return;;`);
  const files = command.arguments.some(({ completes }) => completes !== "nothing") ? "-f" : "";
  return [
    `    ${quoted(command.words.join(" "))})`,
    ...(values.length === 0 ? [] : ['      case "$before" in', ...values, "      esac"]),
    `      COMPREPLY=($(compgen ${files} -W ${quoted(words.join(" "))} -- "$word"));;`,
  ];
}

function bash(program: DescribedCommand): string {
  const all = everyCommand(program);
  const known = all.map(({ words }) => quoted(words.join(" "))).join("|");
  return `# bash completion for sluice: eval "$(sluice completion bash)"
_sluice() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} path=sluice each
  for each in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $each" in
      ${known}) path="$path $each";;
    esac
  done
  case "$path" in
${all.flatMap(bashCommand).join("\n")}
  esac
}
complete -o filenames -F _sluice sluice
`;
}

function zshOption({ names, description, takesValue, choices, completes }: DescribedOption): string[] {
  const files = { directory: "_files -/", file: "_files", nothing: " " } as const;
  const values = choices.length > 0 ? `(${choices.join(" ")})` : files[completes];
  return names.map((name) => quoted(`${name}[${plain(description)}]${takesValue ? `:value:${values}` : ""}`));
}

function zshCommand(command: DescribedCommand): string[] {
  const options = command.options.flatMap(zshOption);
  if (command.commands.length === 0) {
    const choices = argumentChoices(command);
    const values = choices.length > 0 ? `(${choices.join(" ")})` : "_files";
    const files = command.arguments.slice(0, 1).map(() => quoted(`*:argument:${values}`));
    return [`    ${quoted(command.words.join(" "))}) _arguments -S ${[...options, ...files].join(" ")};;`];
  }
  const names = command.commands.map(({ words, description }) => quoted(`${words.at(-1)}:${plain(firstLine(description))}`));
  return [
    `    ${quoted(command.words.join(" "))})`,
    `      local -a commands=(${names.join(" ")})`,
    "      if [[ $PREFIX != -* ]]; then _describe command commands; return; fi",
    `      _arguments -S ${options.join(" ")};;`,
  ];
}

function zsh(program: DescribedCommand): string {
  const all = everyCommand(program);
  const known = all.map(({ words }) => quoted(words.join(" "))).join("|");
  return `#compdef sluice
# zsh completion for sluice: put it as _sluice into a directory of $fpath, or: eval "$(sluice completion zsh)"
_sluice() {
  local at=sluice each
  local -i index=2
  for each in \${words[2,CURRENT-1]}; do
    case "$at $each" in
      (${known}) at="$at $each"; (( index++ ));;
      (*) break;;
    esac
  done
  words=(sluice \${words[index,-1]})
  (( CURRENT -= index - 2 ))
  case "$at" in
${all.flatMap(zshCommand).join("\n")}
  esac
}
if [[ $funcstack[1] == _sluice ]]; then _sluice "$@"; else compdef _sluice sluice; fi
`;
}

function fishWhen({ words, commands }: DescribedCommand): string {
  const [, ...below] = words;
  const seen = below.map((word) => `__fish_seen_subcommand_from ${word}`);
  const none = commands.map(({ words: path }) => path.at(-1) as string).join(" ");
  if (none !== "") seen.push(`not __fish_seen_subcommand_from ${none}`);
  return seen.length === 0 ? "true" : seen.join("; and ");
}

function fishOption(when: string, option: DescribedOption): string {
  const names = option.names.map((name) => (name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`)).join(" ");
  const values = option.choices.length > 0 ? ` -xa ${quoted(option.choices.join(" "))}` : option.completes === "nothing" ? " -x" : " -r";
  return `complete -c sluice -n ${quoted(when)} ${names}${option.takesValue ? values : ""} -d ${quoted(plain(option.description))}`;
}

function fish(program: DescribedCommand): string {
  const lines = everyCommand(program).flatMap((command) => {
    const when = fishWhen(command);
    const names = command.commands.map(
      ({ words, description }) =>
        `complete -c sluice -f -n ${quoted(when)} -a ${quoted(words.at(-1) as string)} -d ${quoted(plain(firstLine(description)))}`,
    );
    const choices = argumentChoices(command).map((choice) => `complete -c sluice -f -n ${quoted(when)} -a ${quoted(choice)}`);
    return [...names, ...choices, ...command.options.map((option) => fishOption(when, option))];
  });
  return `# fish completion for sluice: sluice completion fish | source\n${lines.join("\n")}\n`;
}

export function completionFor(shell: Shell, program: DescribedCommand): string {
  return { bash, zsh, fish }[shell](program);
}
