/** The hunter for names: plants files, has its processes race, and checks the result. See README.md. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { cleanedUp, directory, file, type Layers, layers, runScript, type Tree } from "@sluice/testkit";
import { expect } from "vitest";
import { compileProgram } from "./compile-program.js";
import { type Configuration, FLOWS, type Hunt, huntedMount, type HuntedMount } from "./configurations.js";

const PROCESSES = 8;
const ROUND_MS = 500;
/** A larger number needs another mount: each round has a tree of its own in the lower layer. */
const MOST_ROUNDS = 40;
const SPARE_MS = 120_000;
const PLANTED_BYTES = 64;
/** The first size is copied up at once, the second makes its caller wait. */
const SIZES = [PLANTED_BYTES, 600_000];

/** Without it one answer holds for all other names, and hardly an operation waits for a service. */
function askedAlways(effect: string): string {
  const accesses = "read, write, execute, create, link, rename, truncate, delete, metadata";
  return `  - { name: others, path: "**", access: [${accesses}], effect: ${effect}, ttl: 0ms }\n`;
}

/** An `edit` is another revision of the same rules. Answers of the embedded service are cached, as users have it. */
function policyOf({ flow, replicas }: Configuration, edit: number): string {
  const { fallback, rules } = FLOWS[flow];
  const others = replicas > 0 ? askedAlways(fallback) : "";
  return `version: 1
default: ${fallback}
rules:
  - { name: secrets, path: ["**/.git/config", "**/private/**"], access: [read, write], effect: deny, ttl: 0ms }
  - { name: hooks, path: "**/.git/hooks/*", access: [create], effect: deny, ttl: 0ms }
  - { name: logs, path: "**/logs/**", access: [truncate, delete, metadata], effect: deny, ttl: 0ms }
  - { name: asked, path: "**/asked/**", access: [read], effect: ask }
  - { name: veil, path: "**/shade/veil", effect: hide }
  - { name: metered, path: "**/slow/**", access: [read], effect: mediate, obligations: { audit: each-io }, ttl: 0ms }
${rules}${others}# edit ${edit}
`;
}

/** Root checks the file against its mark, and readers recognize the file by its content. */
function planted(mark: string, random: () => number): ReturnType<typeof file> {
  const content = mark.padEnd(SIZES[Math.floor(random() * SIZES.length)] as number, ".");
  return file(content, { mode: 0o666, xattrs: { "user.hunter": mark } });
}

const open = directory();

/** For two processes that race each other: a file of each rule on one side, and a directory for it on the other. */
function duellingTree(random: () => number, number: number): Tree {
  const at = `w${number}`;
  return {
    [`${at}/0/.git/config`]: planted("SECRET", random),
    [`${at}/0/.git/new-hooks/`]: open,
    [`${at}/1/.git/`]: open,
    [`${at}/1/private/f`]: planted("SECRET", random),
    [`${at}/0/private/`]: open,
    [`${at}/0/asked/f`]: planted("SECRET", random),
    [`${at}/1/asked/`]: open,
    [`${at}/0/sun/`]: open,
    [`${at}/0/slow/f`]: planted("METERED", random),
    [`${at}/1/slow/`]: open,
    [`${at}/0/logs/f`]: planted(`LOCKED${number + 2}`, random),
    [`${at}/1/logs/`]: open,
  };
}

/**
 * The tree for the race of one round. At first no `.git` with a secret in it can be moved, and one of the two has no secret.
 */
function arena(random: () => number): Tree {
  const secretIn = random() < 0.5 ? "p" : "q";
  const gitOf = (top: string): Tree =>
    top === secretIn ? { [`${top}/.git/config`]: planted("SECRET", random) } : { [`${top}/.git/`]: open };
  const trees = Array.from({ length: PROCESSES / 2 }, (_, number) => duellingTree(random, number));
  return {
    ...Object.assign({}, ...trees),
    ...gitOf("p"),
    ...gitOf("q"),
    "p/.git/new-hooks/": open,
    "q/.git/new-hooks/": open,
    "p/private/f": planted("SECRET", random),
    "p/asked/f": planted("SECRET", random),
    "q/asked/": open,
    "p/shade/veil": planted("SECRET-VEIL", random),
    "q/sun/veil": file("PLAIN".padEnd(PLANTED_BYTES, "."), { mode: 0o666 }),
    "p/logs/f": planted("LOCKED0", random),
    "q/logs/g": planted("LOCKED1", random),
    "q/slow/f": planted("METERED", random),
    "p/slow/g": planted("METERED", random),
    "q/open/g": file("PLAIN".padEnd(PLANTED_BYTES, "."), { mode: 0o666 }),
  };
}
const LOCKED = 2 + PROCESSES / 2;

function plantArenas(rounds: number, random: () => number): Layers {
  const trees = Array.from({ length: rounds }, (_, round) => {
    return Object.entries(arena(random)).map(([name, what]) => [`${round}/${name}`, what]);
  });
  const made = layers({ lower: Object.fromEntries(trees.flat()) as Tree });
  // Only the policy refuses.
  spawnSync("sh", ["-c", 'find "$1" -type d -exec chmod 0777 {} +', "sh", made.lower]);
  return made;
}

interface Round {
  program: string;
  hunted: HuntedMount;
  seed: number;
  round: number;
}

const violationsIn = (text: string): string[] => text.split("\n").filter((line) => line.startsWith("violation"));

/** Returns the violations of one round, and every other failure in it. */
async function oneRound({ program, hunted, seed, round }: Round): Promise<string[]> {
  const numbers = [PROCESSES, ROUND_MS, seed, LOCKED].map(String);
  const { code, stdout, stderr } = await runScript([program, hunted.mount.path(String(round)), ...numbers], { timeoutMs: SPARE_MS });
  const found = violationsIn(stdout);
  return [...found, ...(code === 0 || found.length > 0 ? [] : [`exit code ${code}: ${stderr}`])].map((line) => `round ${round}: ${line}`);
}

/** The files that remain in the upper layer obey the same rules about names. */
async function leftIn(program: string, upper: string, rounds: number): Promise<string[]> {
  const touched = Array.from({ length: rounds }, (_, round) => join(upper, String(round))).filter((path) => existsSync(path));
  const results = await Promise.all(touched.map((path) => runScript([program, "check", path, "0"])));
  return results.flatMap(({ stdout }) => violationsIn(stdout));
}

async function huntOnce(hunt: Hunt, program: string): Promise<string[]> {
  const { configuration, random, leftMs } = hunt;
  const rounds = Math.max(1, Math.min(MOST_ROUNDS, Math.ceil(leftMs / ROUND_MS)));
  const made = plantArenas(rounds, random);
  const hunted = await huntedMount(hunt, made, policyOf(configuration, 0));
  const untilMs = Date.now() + leftMs;
  const found: string[] = [];
  const hunting = (async () => {
    for (let round = 0; round < rounds && found.length === 0 && (round === 0 || Date.now() < untilMs); round++) {
      found.push(...(await oneRound({ program, hunted, seed: Math.floor(random() * 1e9), round })));
      hunted.edit(policyOf(configuration, round + 1));
    }
  })();
  await hunted.disturbWhile(hunting, untilMs);
  if (found.length > 0) return found;
  expect((await hunted.mount.stop()).code).toBe(0);
  return leftIn(program, made.upper, rounds);
}

/**
 * Returns the violations found until the time is up, on one mount after the other. Ends with the first mount that has a
 * violation.
 */
export async function huntNames(hunt: Hunt): Promise<string[]> {
  const program = compileProgram("name-hunter.c", "name-operations.c", "name-duels.c", "name-checks.c");
  const untilMs = Date.now() + hunt.leftMs;
  for (let leftMs = hunt.leftMs; leftMs > 0; leftMs = untilMs - Date.now()) {
    const found = await cleanedUp(() => huntOnce({ ...hunt, leftMs }, program));
    if (found.length > 0) return found;
  }
  return [];
}
