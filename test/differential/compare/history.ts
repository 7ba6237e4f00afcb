/** The calls of a sequence before a difference, for entries whose difference shows later or elsewhere. */
import { O } from "@sluice/vfs";
import type { NamedSequence, Step } from "../run/round.js";
import { isError } from "../script/is-error.js";
import { slotKey } from "../script/operation.js";
import type { Setting } from "../script/script.js";
import type { History } from "./intended-differences.js";

/** With the sequence's own directory before it, such a path makes a redirect of more than 256 bytes. */
const LONG_REDIRECT = 250;

const opensToWrite = ({ operation: { call, args } }: Step): boolean => call === "open" && (Number(args["flags"]) & O.ACCMODE) !== O.RDONLY;

export function historyOf({ metacopy }: Setting, { plants }: NamedSequence, steps: readonly Step[]): History {
  return {
    completed: metacopy === true && steps.some(opensToWrite),
    linked: metacopy === true && steps.some(({ operation: { call } }) => call === "linkfd"),
    // Also if the call fails: setgid is cleared first.
    aclRemoved: steps.some(({ operation: { call, args } }) => call === "removexattr" && args["name"] === "system.posix_acl_access"),
    far: plants.some(({ path }) => path.length > LONG_REDIRECT),
  };
}

const OPENS: ReadonlySet<string> = new Set(["open", "tmpfile"]);

/** These calls copy nothing, whatever their result. */
const LOOKS: ReadonlySet<string> = new Set(["stat", "read", "list", "readlink", "getxattr", "listxattr", "access", "statfs"]);

/** The name that a call is about, with the links on its way resolved; for a call on an open file, the name of its open. */
export function nameOf({ operation: { actor, args }, kernel }: Step, before: readonly Step[]): string {
  if (args["path"] !== undefined) return kernel.facts?.realPath ?? String(args["path"]);
  const slot = slotKey(actor, args["slot"]);
  const opening = before.findLast(
    ({ operation }) => OPENS.has(operation.call) && slotKey(operation.actor, operation.args["slot"]) === slot,
  );
  return opening?.kernel.facts?.realPath ?? String(opening?.operation.args["path"]);
}

/** The names in failed calls, and the directories above them, under their names at the end. */
export function refusedNames(directory: string, steps: readonly Step[]): Set<string> {
  const names = new Set<string>();
  for (const { operation, kernel } of steps) {
    const given = [operation.args["path"], operation.args["to"]].map(String);
    const real = [kernel.facts?.realPath ?? given[0], kernel.facts?.realTo ?? given[1]];
    const [path, to] = real.map((name) => `${directory}/${name}`) as [string, string];
    if (!isError(kernel.results[0])) {
      if (operation.call === "rename") follow(names, path, to);
      continue;
    }
    if (LOOKS.has(operation.call)) continue;
    for (const name of [path, to, ...given.map((one) => `${directory}/${one}`)]) {
      const parts = name.split("/");
      for (let length = 1; length <= parts.length; length++) names.add(parts.slice(0, length).join("/"));
    }
  }
  return names;
}

/** Both directions, since the two may have changed places. */
function follow(names: Set<string>, one: string, other: string): void {
  for (const name of [...names]) {
    if (name === one || name.startsWith(`${one}/`)) names.add(`${other}${name.slice(one.length)}`);
    if (name === other || name.startsWith(`${other}/`)) names.add(`${one}${name.slice(other.length)}`);
  }
}
