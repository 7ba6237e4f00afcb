/**
 * The least policy under which the decisions of a log are grants: everything else is denied. A secret is named by itself, and no pattern for
 * a directory covers another one. A pattern covers files that appear in its directory later.
 */
import { bytesOfText, compileGlob, namesOf } from "@sluice/decision-api";
import { exactPattern, patternsFor } from "./patterns.js";

/** One line of the decision log, as far as it is used here. */
interface Event {
  input?: { accesses?: readonly string[]; resource?: { paths?: readonly string[] } };
  result?: { effect?: string };
}

export interface Secrets {
  patterns: readonly string[];
  when: string | undefined;
}

export interface LearnedRule {
  name: string;
  path: string[];
  access?: string[];
  when?: string;
  effect: "grant" | "deny";
}

export interface Learned {
  policy: { version: 1; default: "deny"; rules: LearnedRule[] };
  /** Secrets that were used, for a person to look at. */
  secrets: string[];
}

type PathsByAccess = Map<string, Set<string>>;

function eventOf(line: string): Event {
  try {
    return JSON.parse(line) as Event; // a line that was cut short says nothing
  } catch {
    return {};
  }
}

function addAll(found: PathsByAccess, access: string, paths: readonly string[]): void {
  const known = found.get(access) ?? new Set();
  for (const path of paths) known.add(path);
  found.set(access, known);
}

function readPaths(log: string): PathsByAccess {
  const found: PathsByAccess = new Map();
  const granted = log
    .split("\n")
    .map(eventOf)
    .filter(({ result }) => result?.effect !== "deny");
  for (const { input } of granted) {
    // No pattern matches the root alone.
    const paths = (input?.resource?.paths ?? []).filter((path) => path !== "");
    for (const access of input?.accesses ?? []) addAll(found, access, paths);
  }
  return found;
}

/** One rule for each set of accesses, with all patterns that need just these. */
function rulesOf(patterns: ReadonlyMap<string, readonly string[]>, prefix: string): LearnedRule[] {
  const accesses = new Map<string, string[]>();
  for (const [access, list] of patterns) for (const pattern of list) accesses.set(pattern, [...(accesses.get(pattern) ?? []), access]);
  const byAccesses = new Map<string, string[]>();
  for (const [pattern, list] of accesses) {
    const key = list.sort().join(" ");
    byAccesses.set(key, [...(byAccesses.get(key) ?? []), pattern]);
  }
  return [...byAccesses]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, path]) => {
      const access = key.split(" ");
      return { name: prefix + access.join("-"), path: path.sort(), access, effect: "grant" };
    });
}

function mapPaths(found: PathsByAccess, use: (paths: string[]) => string[]): Map<string, string[]> {
  return new Map([...found].map(([access, paths]) => [access, use([...paths])]));
}

/** @param log JSON lines */
export function learnPolicy(log: string, { patterns, when }: Secrets): Learned {
  const globs = patterns.map((pattern) => compileGlob(pattern, false));
  const isSecret = (path: string): boolean => globs.some((matches) => matches(namesOf(bytesOfText(path))));
  const found = readPaths(log);
  const secrets = mapPaths(found, (paths) => paths.filter(isSecret).flatMap(exactPattern));
  const others = mapPaths(found, (paths) => patternsFor(paths.filter((path) => !isSecret(path))));
  const deny: LearnedRule = { name: "other-secrets", path: [...patterns], ...(when === undefined ? {} : { when }), effect: "deny" };
  const rules = [...rulesOf(secrets, "secrets-"), deny, ...rulesOf(others, "")];
  return { policy: { version: 1, default: "deny", rules }, secrets: [...new Set([...secrets.values()].flat())].sort() };
}
