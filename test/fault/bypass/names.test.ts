/**
 * The hunter for names: unprivileged processes race each other through a tree of which a policy denies parts, and root looks
 * afterwards whether anything came to be that no order of the operations allows. README.md tells what that is, and why nothing
 * else is counted. A fixed time in `npm test`; `npm run test:soak bypass` for longer; SLUICE_SEED draws the same again.
 */
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanedUp, file, directory, requires, runScript, type Tree } from "@sluice/testkit";
import { beforeAll, expect } from "vitest";
import { type Layers, layers } from "../../e2e/harness/layers.js";
import { chooseSeed } from "../exercisers/policies.js";
import { randomBy } from "../take-over/kept-mount.js";
import { compileProgram } from "./harness/compile-program.js";
import { type Configuration, CONFIGURATIONS, FLOWS, huntedMount, type HuntedMount } from "./harness/configurations.js";
import { shareMs } from "./harness/share.js";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command cc");

const PROCESSES = 8;
const ROUND_MS = 500;
/** More is a mount of its own: each round has a tree of its own in the lower layer. */
const MOST_ROUNDS = 40;
const SPARE_MS = 120_000;
const budgetMs = shareMs(6_000) / CONFIGURATIONS.length;
const PLANTED_BYTES = 64;
/** Copied up without, and with, a wait. */
const SIZES = [PLANTED_BYTES, 600_000];

/** An `edit` is another revision of the same rules. */
function policyOf({ flow }: Configuration, edit: number): string {
  const { fallback, rules } = FLOWS[flow];
  return `version: 1
default: ${fallback}
rules:
  - { name: secrets, path: ["**/.git/config", "**/private/**"], access: [read, write], effect: deny, ttl: 0ms }
  - { name: hooks, path: "**/.git/hooks/*", access: [create], effect: deny, ttl: 0ms }
  - { name: logs, path: "**/logs/**", access: [truncate, delete, metadata], effect: deny, ttl: 0ms }
  - { name: metered, path: "**/slow/**", access: [read], effect: mediate, obligations: { audit: each-io }, ttl: 0ms }
${rules}# edit ${edit}
`;
}

/** The mark tells root what must hold of the file, and its content tells readers. */
function planted(mark: string, random: () => number): ReturnType<typeof file> {
  const content = mark.padEnd(SIZES[Math.floor(random() * SIZES.length)] as number, ".");
  return file(content, { mode: 0o666, xattrs: { "user.hunter": mark } });
}

const open = directory();

/** For two processes that race each other: a file of each rule on one side, and a directory for it on the other. */
function duellingGround(random: () => number, number: number): Tree {
  const at = `w${number}`;
  return {
    [`${at}/0/.git/config`]: planted("SECRET", random),
    [`${at}/0/.git/new-hooks/`]: open,
    [`${at}/1/.git/`]: open,
    [`${at}/1/private/f`]: planted("SECRET", random),
    [`${at}/0/private/`]: open,
    [`${at}/0/slow/f`]: planted("METERED", random),
    [`${at}/1/slow/`]: open,
    [`${at}/0/logs/f`]: planted(`LOCKED${number + 2}`, random),
    [`${at}/1/logs/`]: open,
  };
}

/** What one round races through. At first no `.git` that has a secret in it can be moved, and one of the two has none. */
function arena(random: () => number): Tree {
  const secretIn = random() < 0.5 ? "p" : "q";
  const gitOf = (top: string): Tree => (top === secretIn ? { [`${top}/.git/config`]: planted("SECRET", random) } : { [`${top}/.git/`]: open });
  const grounds = Array.from({ length: PROCESSES / 2 }, (_, number) => duellingGround(random, number));
  return {
    ...Object.assign({}, ...grounds),
    ...gitOf("p"),
    ...gitOf("q"),
    "p/.git/new-hooks/": open,
    "q/.git/new-hooks/": open,
    "p/private/f": planted("SECRET", random),
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
  // Nobody but the policy stands in the way.
  spawnSync("sh", ["-c", 'find "$1" -type d -exec chmod 0777 {} +', "sh", made.lower]);
  return made;
}

interface Hunt {
  hunted: HuntedMount;
  configuration: Configuration;
  seed: number;
  rounds: number;
  untilMs: number;
}

describe("nobody gets round a rule by names", () => {
  const seed = chooseSeed();
  let program = "";
  beforeAll(() => {
    program = compileProgram("name-hunter.c", "name-operations.c", "name-duels.c", "name-checks.c");
  });

  /** The violations of one round, or whatever else went wrong with it. */
  async function oneRound({ hunted, seed: ofRound }: Hunt, round: number): Promise<string[]> {
    const arenaAt = hunted.mount.path(String(round));
    const { code, stdout, stderr } = await runScript([program, arenaAt, ...[PROCESSES, ROUND_MS, ofRound, LOCKED].map(String)], {
      timeoutMs: SPARE_MS,
    });
    const found = stdout.split("\n").filter((line) => line.startsWith("violation"));
    return code === 0 ? found : [...found, ...(found.length > 0 ? [] : [`exit code ${code}: ${stderr}`])].map((line) => `round ${round}: ${line}`);
  }

  async function allRounds(hunt: Hunt): Promise<string[]> {
    const found: string[] = [];
    for (let round = 0; round < hunt.rounds && found.length === 0 && (round === 0 || Date.now() < hunt.untilMs); round++) {
      found.push(...(await oneRound({ ...hunt, seed: hunt.seed + round }, round)));
      writeFileSync(hunt.hunted.policyFile, policyOf(hunt.configuration, round + 1));
    }
    return found;
  }

  /** The same rules about names hold of what is left in the upper layer. */
  async function leftIn(upper: string, rounds: number): Promise<string[]> {
    const touched = Array.from({ length: rounds }, (_, round) => join(upper, String(round))).filter((path) => existsSync(path));
    const results = await Promise.all(touched.map((path) => runScript([program, "check", path, "0"])));
    return results.flatMap(({ stdout }) => stdout.split("\n").filter((line) => line.startsWith("violation")));
  }

  for (const configuration of CONFIGURATIONS)
    test(
      configuration.name,
      async () => {
        const random = randomBy(seed);
        for (let leftMs = budgetMs; leftMs > 0; ) {
          const rounds = Math.max(1, Math.min(MOST_ROUNDS, Math.ceil(leftMs / ROUND_MS)));
          const made = plantArenas(rounds, random);
          await cleanedUp(async () => {
            const hunted = await huntedMount(configuration, made, { policy: policyOf(configuration, 0), seed, random });
            const startedMs = Date.now();
            const hunting = allRounds({ hunted, configuration, seed: Math.floor(random() * 1e9), rounds, untilMs: startedMs + leftMs });
            await hunted.disturbWhile(hunting, startedMs + leftMs);
            leftMs -= Date.now() - startedMs;
            expect(await hunting, `SLUICE_SEED=${seed}`).toEqual([]);
            expect((await hunted.mount.stop()).code).toBe(0);
            expect(await leftIn(made.upper, rounds), `SLUICE_SEED=${seed}`).toEqual([]);
          });
        }
      },
      budgetMs + SPARE_MS,
    );
});
