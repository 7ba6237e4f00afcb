/** Phases of real work: whole programs over a tree, their start included, as a user waits for them. */
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../machine/find-program.js";
import { type CommandOptions, runCommand } from "../machine/run-command.js";
import type { Session } from "../subjects/session.js";
import { assetsBelow, GIT_ENVIRONMENT } from "./assets.js";
import type { Bench, Phase } from "./phase.js";

type Command = readonly [file: string, args: readonly string[], options?: CommandOptions];

interface WorkPhase {
  name: string;
  title: string;
  program: string;
  mostRounds?: number;
  many?: boolean;
  prepare?(session: Session, bench: Bench): Promise<void>;
  /** `place` is a new directory in the mount, removed afterwards. */
  command(place: string, session: Session, bench: Bench, round: number): Command;
}

const checkout = ({ root }: Session): string => join(root, "scratch", "checkout");

async function cloneOnce(session: Session, bench: Bench): Promise<void> {
  const args = ["clone", "-q", assetsBelow(bench.storage).repository, checkout(session)];
  await runCommand("git", args, { env: GIT_ENVIRONMENT });
}

const PHASES: readonly WorkPhase[] = [
  {
    name: "untar",
    title: "unpack a source tree",
    program: "tar",
    command: (place, _session, { storage }) => ["tar", ["-xf", assetsBelow(storage).archive, "-C", place]],
  },
  {
    name: "git-clone",
    title: "git clone",
    program: "git",
    command: (place, _session, { storage }) => [
      "git",
      ["clone", "-q", assetsBelow(storage).repository, join(place, "clone")],
      { env: GIT_ENVIRONMENT },
    ],
  },
  {
    name: "git-status",
    title: "git status",
    program: "git",
    prepare: cloneOnce,
    command: (_place, session) => ["git", ["-C", checkout(session), "status", "--porcelain"], { env: GIT_ENVIRONMENT }],
  },
  {
    name: "git-checkout",
    title: "git checkout of another branch",
    program: "git",
    command: (_place, session, _bench, round) => [
      "git",
      ["-C", checkout(session), "checkout", "-q", round % 2 === 0 ? "other" : "main"],
      { env: GIT_ENVIRONMENT },
    ],
  },
  {
    name: "build",
    title: "C build, make -j2",
    program: "make",
    command: (place, { root }) => ["make", ["-s", "-j2", "-C", join(root, "build"), `OUT=${place}`]],
  },
  {
    name: "search",
    title: "search of many files",
    program: "grep",
    mostRounds: 2,
    many: true,
    command: (_place, { root }) => {
      const rg = findProgram("rg");
      return rg ? [rg, ["--no-config", "-uu", "-l", "needle", join(root, "search")]] : ["grep", ["-rl", "needle", join(root, "search")]];
    },
  },
  {
    name: "sqlite",
    title: "SQLite inserts, a transaction each",
    program: "sqlite3",
    command: (place, _session, { storage }) => ["sqlite3", [join(place, "rows.db"), `.read ${assetsBelow(storage).sql}`]],
  },
  {
    name: "imports",
    title: "Python import storm",
    program: "python3",
    command: (_place, { root }, { storage }) => [
      assetsBelow(storage).python(),
      ["-I", "-S", "-c", `import sys; sys.path.insert(0, sys.argv[1]); import storm`, join(root, "modules")],
    ],
  },
];

/** The directory is made before the clock starts and removed after it stopped. */
async function inNewPlace(session: Session, name: string, work: (place: string) => Promise<number>): Promise<number> {
  const place = join(session.root, "scratch", name);
  mkdirSync(place);
  try {
    return await work(place);
  } finally {
    await runCommand("rm", ["-rf", "--", place]);
  }
}

function workPhase({ name, title, program, mostRounds, many, prepare, command }: WorkPhase): Phase {
  return {
    name,
    title,
    program,
    group: "work",
    unit: "ms",
    ...(prepare ? { prepare } : {}),
    ...(mostRounds === undefined ? {} : { mostRounds }),
    ...(many ? { many } : {}),
    measure: (session, bench, round) =>
      inNewPlace(session, `${name}-r${round}`, async (place) => {
        const [file, args, options] = command(place, session, bench, round);
        return (await runCommand(file, args, options)).elapsedMs;
      }),
  };
}

const npmCi: Phase = {
  name: "npm-ci",
  title: "npm ci of generated packages, offline",
  program: "npm",
  group: "work",
  unit: "ms",
  measure: (session, { storage }, round) =>
    inNewPlace(session, `npm-r${round}`, async (place) => {
      const { npmProject, npmCache } = assetsBelow(storage);
      for (const name of ["package.json", "package-lock.json"]) copyFileSync(join(npmProject, name), join(place, name));
      const args = ["ci", "--offline", "--no-audit", "--no-fund", "--ignore-scripts", "--cache", npmCache];
      return (await runCommand("npm", args, { cwd: place })).elapsedMs;
    }),
};

export const workPhases: readonly Phase[] = [...PHASES.map(workPhase), npmCi];
