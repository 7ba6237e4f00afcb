/**
 * Completion for shells: commands, options, choices, files, and mount points. The shells themselves read the mount points from the
 * kernel's table, since starting Node at each key would take longer than a person waits.
 */
import { type Completes, type DescribedCommand, type DescribedOption, everyCommand } from "./describe.js";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
/** With the characters escaped that have a meaning in zsh's specifications. */
const specified = (text: string): string => text.replace(/[[\]:\\]/g, "\\$&");
const firstLine = (text: string): string => text.split("\n", 1)[0] as string;
const argumentChoices = ({ arguments: all }: DescribedCommand): string[] => all.flatMap(({ choices }) => choices);
/** A command with choices completes those instead. */
const completesMounts = (command: DescribedCommand): boolean => argumentChoices(command).length === 0 && completesAny(command, "mount");
const completesFiles = (command: DescribedCommand): boolean => completesAny(command, "file") || completesAny(command, "directory");
const completesAny = ({ arguments: all }: DescribedCommand, what: Completes): boolean => all.some(({ completes }) => completes === what);
const optionNames = ({ options }: DescribedCommand): string[] => options.flatMap(({ names }) => names);

const BASH_FILES: Readonly<Record<Completes, string>> = {
  directory: 'COMPREPLY=($(compgen -d -- "$word"))',
  file: 'COMPREPLY=($(compgen -f -- "$word"))',
  mount: "COMPREPLY=(); _sluice_mounts",
  nothing: "COMPREPLY=()",
};

function bashValues({ choices, completes }: DescribedOption): string {
  if (choices.length === 0) return BASH_FILES[completes];
  const files = completes === "file" ? "-f " : "";
  return `COMPREPLY=($(compgen ${files}-W ${quoted(choices.join(" "))} -- "$word"))`;
}

function bashCommand(command: DescribedCommand): string[] {
  const words = [...command.commands.map(({ words: path }) => path.at(-1) as string), ...argumentChoices(command), ...optionNames(command)];
  const valued = command.options.filter(({ takesValue }) => takesValue);
  const values = valued.map((option) => `        ${option.names.join("|")}) ${bashValues(option)}; return;;`);
  const files = completesFiles(command) ? "-f" : "";
  const others = `COMPREPLY=($(compgen ${files} -W ${quoted(words.join(" "))} -- "$word"))`;
  return [
    `    ${quoted(command.words.join(" "))})`,
    ...(values.length === 0 ? [] : ['      case "$before" in', ...values, "      esac"]),
    completesMounts(command) ? `      ${BASH_FILES.mount}; [[ -n \${COMPREPLY[*]} ]] || ${others};;` : `      ${others};;`,
  ];
}

/** Adds the mount points that begin with the word; without one, directories. The table writes a space as \\040. */
const BASH_MOUNTS = `_sluice_mounts() {
  local at type rest
  [[ $word != -* ]] || return
  while read -r rest at type rest; do
    printf -v at %b "\${at//\\\\/\\\\0}"
    if [[ $type == fuse.sluice && $at == "$word"* ]]; then COMPREPLY+=("$at"); fi
  done </proc/self/mounts
  if [[ \${#COMPREPLY[@]} == 0 ]]; then COMPREPLY=($(compgen -d -- "$word")); fi
}`;

function bash(program: DescribedCommand): string {
  const all = everyCommand(program);
  const known = all.map(({ words }) => quoted(words.join(" "))).join("|");
  return `# bash completion for sluice: eval "$(sluice completion bash)"
${BASH_MOUNTS}
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

const ZSH_VALUES: Readonly<Record<Completes, string>> = { directory: "_files -/", file: "_files", mount: "_sluice_mounts", nothing: " " };

/** As in bash. Of \${(g:o:)…} "o" is: octal numbers need no 0 before them. */
const ZSH_MOUNTS = `_sluice_mounts() {
  local -a mounts=(\${(M)\${(f)"$(</proc/self/mounts)"}:#* * fuse.sluice *})
  mounts=(\${(g:o:)\${\${mounts#* }%% *}})
  compadd -f -a mounts || _files -/
}`;

function zshValues({ choices, completes }: DescribedOption): string {
  if (choices.length === 0) return ZSH_VALUES[completes];
  const words = choices.join(" ");
  return completes === "file" ? `{compadd ${words}; _files}` : `(${words})`;
}

function zshOption(option: DescribedOption): string[] {
  const { names, description, takesValue } = option;
  const values = zshValues(option);
  return names.map((name) => quoted(`${name}[${specified(description)}]${takesValue ? `:value:${values}` : ""}`));
}

function zshCommand(command: DescribedCommand): string[] {
  const options = command.options.flatMap(zshOption);
  if (command.commands.length === 0) {
    const choices = argumentChoices(command);
    const values = choices.length > 0 ? `(${choices.join(" ")})` : completesMounts(command) ? ZSH_VALUES.mount : "_files";
    const files = command.arguments.slice(0, 1).map(() => quoted(`*:argument:${values}`));
    return [`    ${quoted(command.words.join(" "))}) _arguments -S ${[...options, ...files].join(" ")};;`];
  }
  const names = command.commands.map(({ words, description }) => quoted(`${words.at(-1)}:${specified(firstLine(description))}`));
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
${ZSH_MOUNTS}
_sluice() {
  local at=sluice each
  local -i index=2
  for each in \${words[2,CURRENT-1]}; do
    case "$at $each" in
      (${known}) at="$at $each"; (( index++ ));;
      (*) break;;
    esac
  done
  words=(sluice "\${(@)words[index,-1]}")
  (( CURRENT -= index - 2 ))
  case "$at" in
${all.flatMap(zshCommand).join("\n")}
  esac
}
if [[ $funcstack[1] == _sluice ]]; then _sluice "$@"; else compdef _sluice sluice; fi
`;
}

/** The line is at a command if its words, without options and their values, name that command. */
const fishFunctions = (known: string): string => `function __sluice_at
  set -l at sluice
  for each in (commandline -opc)[2..-1]
    contains -- "$at $each" ${known}; and set at "$at $each"
  end
  test "$at" = "$argv"
end
function __sluice_mounts
  set -l word (commandline -ct | string unescape)
  set -l mounts (string replace -rf '^\\S+ (\\S+) fuse\\.sluice .*' '$1' </proc/self/mounts | string unescape)
  string match -- "$word*" $mounts; or __fish_complete_directories "$word"
end`;

function fishOption(option: DescribedOption): string {
  const names = option.names.map((name) => (name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`)).join(" ");
  const words = option.choices.length > 0 ? `a ${quoted(option.choices.join(" "))}` : "";
  const values = ` -${option.completes === "nothing" ? "x" : "r"}${words}`;
  return `${names}${option.takesValue ? values : ""} -d ${quoted(option.description)}`;
}

function fishArguments(command: DescribedCommand, when: string): string[] {
  const words = completesMounts(command) ? ["(__sluice_mounts)"] : argumentChoices(command);
  // A line without a word says only that there are no files to complete.
  if (words.length === 0) return completesFiles(command) ? [] : [`${when} -f`];
  return words.map((word) => `${when} -f -a ${quoted(word)}`);
}

function fishCommand(command: DescribedCommand): string[] {
  const when = `complete -c sluice -n ${quoted(`__sluice_at ${command.words.join(" ")}`)}`;
  const names = command.commands.map(
    ({ words, description }) => `${when} -f -a ${quoted(words.at(-1) as string)} -d ${quoted(firstLine(description))}`,
  );
  return [...names, ...fishArguments(command, when), ...command.options.map((option) => `${when} ${fishOption(option)}`)];
}

function fish(program: DescribedCommand): string {
  const all = everyCommand(program);
  const known = all.map(({ words }) => quoted(words.join(" "))).join(" ");
  const lines = [fishFunctions(known), ...all.flatMap(fishCommand)];
  return `# fish completion for sluice: sluice completion fish | source\n${lines.join("\n")}\n`;
}

export function completionFor(shell: Shell, program: DescribedCommand): string {
  return { bash, zsh, fish }[shell](program);
}
