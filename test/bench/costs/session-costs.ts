/**
 * The time of real work in a session of `sluice run`, beside the same in the directory itself and in sandboxes over other overlays, each
 * started as a user would. Two times are told: of the work alone, and of the whole command with the start and the end of the sandbox.
 *
 *   node test/bench/dist/costs/session-costs.js [rounds]
 *
 * It measures as the user who starts it. The order of the subjects moves on by one per round, and nothing is removed before the end: ext4 is
 * slower after that. The directory lies in TMPDIR; everything that the work reads lies in it.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findProgram } from "../machine/find-program.js";
import { killRunningCommands, runCommand } from "../machine/run-command.js";
import { GIT_ENVIRONMENT, makeAssets } from "../phases/assets.js";
import { plantBuild } from "../phases/plant-tree.js";
import { PROFILES } from "../phases/sizes.js";
import { spreadOf } from "../run/statistics.js";

const CLI = fileURLToPath(new URL("../../../../packages/cli/bin/sluice.cjs", import.meta.url));
const AS_ROOT = process.geteuid?.() === 0;

/** Shell text that works in the current directory. `out` is a new name in it. */
const WORK: Readonly<Record<string, (out: string) => string>> = {
  true: () => "true",
  "git clone": (out) => `git clone -q --no-local source.git ${out}`,
  "npm ci": (out) => `cp -r npm-project ${out}; cd ${out}; npm ci --offline --no-audit --no-fund --ignore-scripts --cache ../${out}-cache`,
  "tar x": (out) => `mkdir ${out}; tar --no-same-owner -xf source.tar -C ${out}`,
  "C build": (out) => `mkdir ${out}; make -s -j2 -C build OUT=../${out}`,
};

interface Subject {
  name: string;
  /** Programs that it needs. */
  programs: readonly string[];
  /** The command line that runs `script` on a view of `base`. `own` is a new directory for its layers. */
  command(base: string, own: string, script: string): [string, ...string[]];
}

const shell = (script: string): [string, ...string[]] => ["bash", "-ec", script];

/** The confinement of `sluice run`, without its covers. */
const bwrap = (view: string, base: string): string =>
  `bwrap --unshare-pid --unshare-ipc --die-with-parent --ro-bind / / --dev /dev --proc /proc --tmpfs /tmp --bind ${view} ${base} --chdir ${base} -- `;

/** A mount in a mount namespace of its own, which an ordinary user gets in a user namespace. */
function mounted(base: string, own: string, { mount, script }: { mount: string; script: string }): [string, ...string[]] {
  for (const name of ["upper", "work", "view"]) mkdirSync(join(own, name));
  const namespaces = [...(AS_ROOT ? [] : ["--user", "--map-root-user"]), "--mount", "--propagation", "private"];
  const layers = `lowerdir=${base},upperdir=${own}/upper,workdir=${own}/work`;
  const view = join(own, "view");
  const text = `${mount.replace("LAYERS", layers)} ${view}\n${bwrap(view, base)} bash -ec "$1"\numount ${view}`;
  return ["unshare", ...namespaces, "sh", "-ec", text, "sh", script];
}

/**
 * The public shell script of that name, which mounts an overlay over each directory of `/`. As an ordinary user it cannot copy up a directory
 * of root (EOVERFLOW), so it is measured as root alone.
 */
const TRY: Subject = {
  name: "try",
  programs: ["try", "unshare"],
  command: (_base, own, script) => ["try", "-D", own, script],
};

const SUBJECTS: readonly Subject[] = [
  { name: "bare", programs: [], command: (_base, _own, script) => shell(script) },
  {
    name: "overlayfs + bwrap",
    programs: ["bwrap", "unshare"],
    command: (base, own, script) =>
      mounted(base, own, { mount: `mount -t overlay overlay -o ${AS_ROOT ? "" : "userxattr,"}LAYERS`, script }),
  },
  {
    name: "fuse-overlayfs + bwrap",
    programs: ["bwrap", "unshare", "fuse-overlayfs"],
    command: (base, own, script) => mounted(base, own, { mount: "fuse-overlayfs -o LAYERS", script }),
  },
  ...(AS_ROOT ? [TRY] : []),
  {
    name: "sluice run",
    programs: ["bwrap"],
    command: (_base, own, script) => [process.execPath, CLI, "run", "--name", `s${own.replace(/\D/g, "")}`, "--", ...shell(script)],
  },
];

/** Milliseconds. */
interface Times {
  work: number;
  whole: number;
}

class Measurement {
  readonly #root = mkdtempSync(join(tmpdir(), "session-costs-"));
  readonly #base = join(this.#root, "base");
  readonly #env: Readonly<Record<string, string>>;
  #runs = 0;

  constructor() {
    for (const name of ["base", "home", "state"]) mkdirSync(join(this.#root, name));
    this.#env = { ...GIT_ENVIRONMENT, HOME: join(this.#root, "home"), XDG_STATE_HOME: join(this.#root, "state") };
  }

  async prepare(): Promise<void> {
    const sizes = PROFILES.standard;
    const none = (): Promise<void> => Promise.resolve();
    const storage = { kind: "ext4", outside: this.#base, layers: this.#base, mounts: this.#base, remove: none } as const;
    await makeAssets(storage, sizes, new Set(["git", "npm"]));
    await plantBuild(this.#base, sizes.buildFiles);
  }

  async run({ command }: Subject, work: (out: string) => string): Promise<Times> {
    const own = join(this.#root, `own-${++this.#runs}`);
    mkdirSync(own);
    const script = `began=$EPOCHREALTIME; (${work(`out-${this.#runs}`)}) >/dev/null; echo $began $EPOCHREALTIME`;
    const [program, ...words] = command(this.#base, own, script);
    await runCommand("sync", []);
    const { stdout, elapsedMs: whole } = await runCommand(program, words, { cwd: this.#base, env: this.#env });
    const [from = Number.NaN, to = Number.NaN] = (stdout.trim().split("\n").at(-1) ?? "").split(" ").map(Number);
    return { work: (to - from) * 1000, whole };
  }

  /** The kernel makes a directory without any permission in the work directory of an overlay. */
  async remove(): Promise<void> {
    await runCommand("chmod", ["-R", "u+rwX", this.#root]);
    rmSync(this.#root, { recursive: true, force: true });
  }
}

/** Of each piece of work, the times of each subject by round. */
type Results = Map<string, Map<string, Times[]>>;

async function measure(measurement: Measurement, subjects: readonly Subject[], rounds: number): Promise<Results> {
  const results: Results = new Map(
    Object.keys(WORK).map((name) => [name, new Map(subjects.map((one): [string, Times[]] => [one.name, []]))]),
  );
  for (let round = 0; round < rounds; round++) {
    for (const [name, work] of Object.entries(WORK)) {
      for (let index = 0; index < subjects.length; index++) {
        const subject = subjects[(index + round) % subjects.length] as Subject;
        results
          .get(name)
          ?.get(subject.name)
          ?.push(await measurement.run(subject, work));
      }
    }
  }
  return results;
}

/** Each ratio is taken within a round. */
function print(results: Results): void {
  console.log("| work | subject | work alone, ms | of bare | whole command, ms | of bare |\n|---|---|---|---|---|---|");
  for (const [work, bySubject] of results) {
    const bare = bySubject.get("bare") ?? [];
    for (const [subject, times] of bySubject) {
      const cells = (["work", "whole"] as const).flatMap((part) => {
        const ratio = spreadOf(times.map((one, round) => one[part] / (bare[round]?.[part] ?? Number.NaN)));
        return [spreadOf(times.map((one) => one[part])).median.toFixed(0), ratio.median.toFixed(2)];
      });
      console.log(`| ${work} | ${subject} | ${cells.join(" | ")} |`);
    }
  }
}

const load = (): string => loadavg()[0]?.toFixed(2) ?? "";
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, killRunningCommands);
const measurement = new Measurement();
try {
  await measurement.prepare();
  const subjects = SUBJECTS.filter(({ name, programs }) => {
    const missing = programs.find((program) => findProgram(program) === undefined);
    if (missing !== undefined) console.log(`${name}: left out, since ${missing} is not installed`);
    return missing === undefined;
  });
  const rounds = Number(process.argv[2] ?? 5);
  const before = load();
  const results = await measure(measurement, subjects, rounds);
  console.log(`as ${AS_ROOT ? "root" : "an ordinary user"}, ${rounds} rounds, load average ${before} before and ${load()} after\n`);
  print(results);
} finally {
  await measurement.remove();
}
