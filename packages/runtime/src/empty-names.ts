/**
 * Refuses empty names, which are mostly those of unset variables of a shell. A path of no characters is the working directory, so a command
 * would take the mount point, the policy or the files of that. And refuses names of options that Node could not read.
 */
import { wrong } from "./cli-error.js";

/** The part of a commander `Command` that is needed here. */
export interface ParsedCommand {
  readonly options: readonly {
    readonly long?: string | undefined;
    readonly flags: string;
    /** The command finds the bytes of its value by itself. */
    readonly hasBytes?: boolean;
    attributeName(): string;
  }[];
  readonly registeredArguments: readonly { readonly required: boolean; name(): string }[];
  readonly processedArgs: readonly unknown[];
  opts(): Readonly<Record<string, unknown>>;
}

/** The value of such an option, in its flags. */
const PATH = /[<[](?:file|dirs?|directory|socket|path)[>\]]/;
/** Its words belong to another program. */
const COMMAND = "command";
const isEmpty = (value: unknown): boolean => value === "" || (Array.isArray(value) && value.includes(""));

/** Node takes the command line for UTF-8: this character replaces other bytes, so the name is that of another file. */
const isLossy = (value: unknown): boolean => [value].flat().some((name) => typeof name === "string" && name.includes("\ufffd"));

/** @throws CliError, exit code 2 */
export function refuseEmptyNames(command: ParsedCommand): void {
  const values = command.opts();
  const option = command.options.find((each) => PATH.test(each.flags) && isEmpty(values[each.attributeName()]));
  if (option !== undefined) throw wrong(option.long ?? option.flags, "the name is empty", `write ${option.flags}`);
  const lossy = command.options.find((each) => each.hasBytes !== true && PATH.test(each.flags) && isLossy(values[each.attributeName()]));
  if (lossy !== undefined) throw wrong(lossy.long ?? lossy.flags, "the name is not valid UTF-8", "reach it by a symbolic link");
  const empty = command.registeredArguments.find((each, index) => each.name() !== COMMAND && isEmpty(command.processedArgs[index]));
  if (empty !== undefined) throw wrong(empty.name().toUpperCase(), "it is empty", empty.required ? "name it" : "name it, or leave it out");
}
