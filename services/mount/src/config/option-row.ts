/** One row of the table of `-o` options, and what every row needs. */
import { wrong } from "@sluice/runtime/cli";
import type { OptionString } from "./option-values.js";

export type Apply = (into: OptionString, value: string | undefined, word: string) => void;

export interface OptionRow {
  name: string;
  /** Whose option it is. */
  of: "overlayfs" | "fuse-overlayfs" | "mount" | "sluice";
  /** The values that are taken: "on|off", or a word in capitals for any. Undefined: a word without a value. */
  values?: string;
  /** Undefined: refused whatever its value. */
  apply?: Apply;
  /** Why it, or its other values, are refused. */
  refused?: string;
}

export const MORE = "see docs/overlay-options.md for the options that are";

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
