/** Globs that are right by their form, and that probably do not match what their author means. Each is worth a warning. */
import { expandBraces } from "@sluice/decision-api";

export interface Doubt {
  message: string;
  remedy: string;
}

const FROM_ROOT = "write the path from the mount's root";
/** An extension, a capital as in LICENSE and Makefile, .env, .bashrc: a name of a file, which has nothing below it. */
const FILE_NAME = /.\.|^[A-Z]|^\.env$|rc$/;
const SPECIAL = /[*?[\\]/;

function doubtOfOne(glob: string, all: ReadonlySet<string>): Doubt | undefined {
  if (/^~[^/]*(\/|$)/.test(glob)) return { message: "does not name a home directory", remedy: FROM_ROOT };
  if (/^\$\w+\//.test(glob)) return { message: "holds a variable, which is not replaced", remedy: FROM_ROOT };
  const name = glob.slice(glob.lastIndexOf("/") + 1);
  if (SPECIAL.test(name) || FILE_NAME.test(name) || all.has(`${glob}/**`)) return undefined;
  return { message: "matches this name and nothing below it", remedy: `if it is a directory, add '${glob}/**'` };
}

/** `all`: every glob of the policy, without braces. The glob itself has been parsed. */
export function doubtfulGlob(glob: string, all: ReadonlySet<string>): Doubt | undefined {
  if (glob.startsWith("*") && glob !== "**" && !glob.includes("/")) {
    const remedy = glob === "*" ? "write '**' to match everything" : `write '**/${glob}' to match in every directory`;
    return { message: "matches in the mount's root alone", remedy };
  }
  for (const one of expandBraces(glob)) {
    const doubt = doubtOfOne(one, all);
    if (doubt !== undefined) return doubt;
  }
  return undefined;
}
