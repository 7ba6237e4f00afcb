/** A row of the table of `-o` options, and the checks that rows share. */
import { wrong } from "@sluice/runtime/cli";
import type { OptionString } from "./option-values.js";

export type Apply = (into: OptionString, value: string | undefined, word: string) => void;

export interface OptionRow {
  name: string;
  /** The program that the option comes from. */
  of: "overlayfs" | "fuse-overlayfs" | "mount" | "sluice";
  /** The accepted values: "on|off", or a word in capitals for any value. Undefined: the option takes no value. */
  values?: string;
  /** Undefined: the option is refused with every value. */
  apply?: Apply;
  /** The reason why the option, or its other values, are refused. */
  refused?: string;
}

export const MORE = "docs/overlay-options.md lists all options";

export function refuse(word: string, why: string): never {
  throw wrong(`-o ${word}`, `option is not supported: ${why}`, MORE);
}

export function valueOf(value: string | undefined, word: string): string {
  if (value === undefined || value === "") throw wrong(`-o ${word}`, "option lacks a value", `write ${word.replace(/=$/, "")}=VALUE`);
  return value;
}

export function withoutValue(value: string | undefined, word: string): void {
  if (value !== undefined) throw wrong(`-o ${word}`, "option takes no value", "leave the value out");
}
