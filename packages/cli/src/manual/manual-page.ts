/** A command's manual page, in the language of man(7). */
import { fillText, VERSION } from "@sluice/runtime/cli";
import type { DescribedCommand } from "./describe.js";

/** Escapes a dot or a quote at the start of a line, which would be a request, and hyphens, so that they can be copied. */
function roff(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^([.'])/gm, "\\&$1")
    .replace(/[^\x20-\x7e\n]/gu, (character) => `\\[u${(character.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, "0")}]`);
}

/** Of a terminal with 80 columns, less the indentation of a section. */
const NOTES_WIDTH = 72;

export const pageName = ({ words }: DescribedCommand): string => words.join("-");

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`.SH ${title}`, ...lines];
}

function entries(list: readonly { name: string; description: string }[]): string[] {
  return list.flatMap(({ name, description }) => [".TP", `.B ${roff(name)}`, description === "" ? "\\&" : roff(description)]);
}

export function manualPage(command: DescribedCommand): string {
  const name = pageName(command);
  const options = command.options.map(({ flags, description }) => ({ name: flags, description }));
  const commands = command.commands.map((each) => ({ name: each.words.join(" "), description: each.description }));
  const above = command.words.length > 1 ? [command.words.slice(0, -1).join("-")] : [];
  const others = [...above, ...command.commands.map(pageName)];
  const lines = [
    `.TH "${roff(name.toUpperCase())}" 1 "" "sluice ${VERSION}" "Sluice"`,
    ...section("NAME", [`${roff(name)} \\- ${roff(command.description)}`]),
    ...section("SYNOPSIS", [`.B ${roff(command.usage)}`]),
    ...section("ARGUMENTS", entries(command.arguments.filter(({ description }) => description !== ""))),
    ...section("COMMANDS", entries(commands)),
    ...section("OPTIONS", entries(options)),
    ...section("NOTES", command.notes === "" ? [] : [".nf", roff(fillText(command.notes, NOTES_WIDTH)), ".fi"]),
    ...section("SEE ALSO", others.length === 0 ? [] : [others.map((other) => `.BR ${roff(other)} (1)`).join(",\n")]),
  ];
  return `${lines.join("\n")}\n`;
}
