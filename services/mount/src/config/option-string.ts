/**
 * Parses `-o OPTIONS`: the option strings of overlayfs, fuse-overlayfs and mount(8). Every option has a row in option-table.ts. An unknown
 * or unsupported option is an error; none is ignored.
 */
import { didYouMean } from "@sluice/decision-api";
import { wrong } from "@sluice/runtime/cli";
import { splitEscaped } from "@sluice/mount-control";
import { MORE, refuse } from "./option-row.js";
import { optionTable } from "./option-table.js";
import { noOptions, type OptionString } from "./option-values.js";

const rows = new Map(optionTable.map((row) => [row.name, row]));

const OPEN_QUOTE = /^(fs|def|root)?context="[^"]*$/;

/** The options of one string. A comma inside a quoted label does not separate: `context="u:r:t:s0:c1,c2"`. */
function wordsOf(text: string): string[] {
  const words: string[] = [];
  for (const piece of splitEscaped(text, ",", false)) {
    const last = words.at(-1);
    if (last !== undefined && OPEN_QUOTE.test(last)) words[words.length - 1] = `${last},${piece}`;
    else words.push(piece);
  }
  return words;
}

/** Parses one or more `-o` strings; later ones override earlier ones. @throws CliError */
export function parseOptionStrings(strings: readonly string[]): OptionString {
  const into = noOptions();
  for (const word of strings.flatMap(wordsOf)) {
    // x-…: for programs that read /etc/fstab.
    if (word === "" || /^x-/i.test(word)) continue;
    const equals = word.indexOf("=");
    const name = equals < 0 ? word : word.slice(0, equals);
    const row = rows.get(name);
    if (row === undefined) {
      const near = didYouMean(name, [...rows.keys()]);
      throw wrong(`-o ${word}`, "unknown option", near === undefined ? MORE : `did you mean '${near}'?`);
    }
    const value = equals < 0 ? undefined : word.slice(equals + 1);
    if (row.refused !== undefined && row.apply === undefined) refuse(word, row.refused);
    row.apply?.(into, value, word);
  }
  return into;
}
