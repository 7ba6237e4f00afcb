/**
 * Each call that changes names, with the server killed before each step of it: before and after each system call and each
 * record. The caller's call succeeds, and leaves the same result as on a plain file system.
 */
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  diffSnapshots,
  file,
  hardLink,
  mountKernelOverlay,
  mountSluice,
  plant,
  requires,
  type RunningScript,
  scratch,
  snapshot,
  type Snapshot,
  startScript,
  type Tree,
} from "@sluice/testkit";
import { seededRandom } from "@sluice/testkit/random";
import { expect, vi } from "vitest";
import { chooseSeed } from "../exercisers/policies.js";
import { withLog } from "../exercisers/with-log.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "kernel overlayfs");

const PLANT = fileURLToPath(new URL("./plant-step.mjs", import.meta.url));
/** More steps than any call has. */
const MOST_STEPS = 80;
/** The total number of steps without a soak, drawn at random. */
const FEW = 14;
const LIFE_MS = 3_600_000;
/** Endings of the files that the hooks write beside that of the step: it had fewer calls, or the server is killed now. */
const OVER = ".over";
const ENDS = [OVER, ".killed"];
const WAIT = { timeout: 10_000, interval: 5 };
const whole = process.env["SLUICE_SOAK_SECONDS"] !== undefined;

/** The contents of each directory that a call is tried in. */
const LOWER: Tree = {
  lo: file("lower"),
  lo2: file("lower, too"),
  hidden: file("hidden"),
  "hidden-too": file("hidden"),
  one: file("of two names"),
  other: hardLink("one"),
  "lodir/x": file("x"),
  "emptied/x": file("x"),
};

/** The preparation, without a kill, and the call, with one: source that runs in the directory. */
interface Case {
  first?: string;
  call: string;
}

const TWO_KNOWN = 'fs.statSync("one"); fs.statSync("other")';

const CASES: Readonly<Record<string, Case>> = {
  "a file is made": { call: 'close(fs.openSync("new", "wx"))' },
  "a file is made where one is hidden": { first: 'fs.unlinkSync("hidden")', call: 'close(fs.openSync("hidden", "wx"))' },
  "a directory is made": { call: 'fs.mkdirSync("new")' },
  "a directory is made where a file is hidden": { first: 'fs.unlinkSync("hidden")', call: 'fs.mkdirSync("hidden")' },
  "a fifo is made": { call: 'must(native.mknodat(AT, "new", 0o10644, 0, 0))' },
  "a symbolic link is made": { call: 'fs.symlinkSync("to", "new")' },
  "a file gets a second name": { call: 'fs.linkSync("up", "new")' },
  "a lower file gets a second name": { call: 'fs.linkSync("lo", "new")' },
  "a file gets a name that is hidden": { first: 'fs.unlinkSync("hidden")', call: 'fs.linkSync("up", "hidden")' },
  "one of two lower names gets a third": { call: 'fs.linkSync("one", "new")' },
  "a file is renamed": { call: 'fs.renameSync("up", "new")' },
  "a lower file is renamed": { call: 'fs.renameSync("lo", "new")' },
  "a file is renamed over a lower one": { call: 'fs.renameSync("up", "lo")' },
  "a lower file is renamed over a lower one": { call: 'fs.renameSync("lo", "lo2")' },
  "a file is renamed to where one is hidden": { first: 'fs.unlinkSync("hidden")', call: 'fs.renameSync("up", "hidden")' },
  "a lower file is renamed to where one is hidden": { first: 'fs.unlinkSync("hidden")', call: 'fs.renameSync("lo", "hidden")' },
  "a file is renamed over one of two names": { call: 'fs.renameSync("up", "one")' },
  "a lower directory is renamed": { call: 'fs.renameSync("lodir", "new")' },
  "a directory is renamed over an emptied one": {
    first: 'fs.unlinkSync("emptied/x")',
    call: 'fs.renameSync("updir", "emptied")',
  },
  "two change places": { call: 'must(native.renameat2(AT, "up", AT, "lo", 2))' },
  "a file and a lower directory change places": { call: 'must(native.renameat2(AT, "up", AT, "lodir", 2))' },
  "a file is removed": { call: 'fs.unlinkSync("up")' },
  "a lower file is removed": { call: 'fs.unlinkSync("lo")' },
  "one of two lower names is removed": { call: 'fs.unlinkSync("one")' },
  "one of two known lower names is removed": { first: TWO_KNOWN, call: 'fs.unlinkSync("one")' },
  "a file of two known lower names is opened to write": { first: TWO_KNOWN, call: 'close(fs.openSync("one", "r+"))' },
  "an open file is removed": { first: 'held = fs.openSync("up", "r")', call: 'fs.unlinkSync("up"); read(held, "upper")' },
  "a directory is removed": { call: 'fs.rmdirSync("updir")' },
  "an emptied lower directory is removed": { first: 'fs.unlinkSync("emptied/x")', call: 'fs.rmdirSync("emptied")' },
  "a file without a name is made, and gets one": {
    call: 'held = nameless(); name(held, "new"); close(held)',
  },
  "a file without a name gets one": { first: "held = nameless()", call: 'name(held, "new"); close(held)' },
  "an attribute is made": { call: 'must(native.setxattrat(AT, "up", "user.a", Buffer.from("v"), 1))' },
  "an attribute is taken": {
    first: 'must(native.setxattrat(AT, "up", "user.a", Buffer.from("v"), 1))',
    call: 'must(native.removexattrat(AT, "up", "user.a"))',
  },
  "a lower file is emptied as it is opened": { call: 'close(fs.openSync("lo", "w"))' },
};

/** Runs commands, line by line, in the directory that each names, and ends at the first failure. */
const ACTOR = `
import fs from "node:fs";
import { createInterface } from "node:readline";
const { native } = await import(process.env.SLUICE_NATIVE_URL);
const AT = -100, O_TMPFILE = 0o20200000, O_RDWR = 2, AT_SYMLINK_FOLLOW = 0x400;
const close = fs.closeSync;
const must = (result) => { if (result < 0) throw new Error("errno " + -result); return result; };
const nameless = () => { const fd = must(native.openat(AT, ".", O_TMPFILE | O_RDWR, 0o644)); fs.writeSync(fd, "nameless"); return fd; };
const name = (fd, to) => must(native.linkat(AT, "/proc/self/fd/" + fd, AT, to, AT_SYMLINK_FOLLOW));
const read = (fd, text) => { const bytes = Buffer.alloc(99); if (bytes.toString("latin1", 0, fs.readSync(fd, bytes, 0, 99, 0)) !== text) throw new Error("reads otherwise"); close(fd); };
let held;
for await (const line of createInterface({ input: process.stdin })) {
  const { at, source, id } = JSON.parse(line);
  process.chdir(at);
  eval(source);
  process.chdir("/");
  console.log(id);
}
`;

class Actor {
  readonly #script: RunningScript;
  #count = 0;

  constructor() {
    this.#script = startScript(ACTOR, { timeoutMs: LIFE_MS });
  }

  async do(at: string, source: string): Promise<void> {
    const id = `#${++this.#count}#`;
    this.#script.write(`${JSON.stringify({ at, source, id })}\n`);
    await this.#script.waitFor(id);
  }
}

const FIRST = 'fs.writeFileSync("up", "upper"); fs.mkdirSync("updir")';

/** The result of the same calls on a plain file system. */
async function expected(actor: Actor, { first, call }: Case): Promise<Snapshot> {
  const at = plant(scratch(), LOWER);
  await actor.do(at, `${FIRST}; ${first ?? ""}`);
  await actor.do(at, call);
  return comparable(at);
}

/** Leaves out times, and sizes of directories. */
function comparable(at: string): Snapshot {
  const options = { hardLinks: true, ignoreXattrs: /^(trusted|security)\./ };
  return new Map([...snapshot(at, options)].map(([path, entry]) => [path, { ...entry, mtimeNs: 0n }]));
}

interface Trial {
  name: string;
  step: number;
}

function trials(): Trial[] {
  const names = Object.keys(CASES);
  if (whole) return names.flatMap((name) => Array.from({ length: MOST_STEPS }, (_, step) => ({ name, step: step + 1 })));
  const random = seededRandom(chooseSeed()).fraction;
  return Array.from({ length: FEW }, () => ({
    name: names[Math.floor(random() * names.length)] as string,
    step: 1 + Math.floor(random() * 12),
  }));
}

/** Of the last call. The server notes it after its answer. */
function endOf(stepFile: string): string {
  const ends = ENDS.filter((end) => existsSync(`${stepFile}${end}`));
  if (ends.length !== 1) throw new Error(`the call ended by ${ends.length} of ${ENDS.join(" and ")}: are the hooks in the server?`);
  return ends[0] as string;
}

function folderOf({ name, step }: Trial): string {
  return `${Object.keys(CASES).indexOf(name)}-${step}`;
}

test(
  "each call succeeds although the server is killed before each of its steps",
  async () => {
    const [lower, upper, work] = [join(scratch(), "lower"), join(scratch(), "upper"), scratch()];
    for (const path of [lower, upper]) mkdirSync(path);
    const all = trials();
    for (const trial of new Set(all.map(folderOf))) {
      mkdirSync(join(lower, trial));
      plant(join(lower, trial), LOWER);
    }
    // One for all calls: the first failure ends it, and the test.
    const actor = new Actor();
    const wanted = new Map<string, Snapshot>();
    for (const name of new Set(all.map((trial) => trial.name))) wanted.set(name, await expected(actor, CASES[name] as Case));
    const stepFile = join(scratch(), "step");
    // A chunk of the bundle copies the addon's calls before the hooks get them, so system calls would be no steps.
    const env = { NODE_OPTIONS: `--import=${PLANT}`, SLUICE_STEP_FILE: stepFile, SLUICE_BUNDLE: "off" };
    const mount = await mountSluice({ lowers: [lower], upper, work, args: ["--keeper", "on"], env });
    const over = new Map<string, number>();
    const done = new Set<string>();
    let kills = 0;
    await withLog(mount, async () => {
      for (const trial of all) {
        const { name, step } = trial;
        const folder = folderOf(trial);
        if ((over.get(name) ?? Number.POSITIVE_INFINITY) < step || done.has(folder)) continue;
        done.add(folder);
        const { first, call } = CASES[name] as Case;
        const at = join(mount.mountpoint, folder);
        await actor.do(at, `${FIRST}; ${first ?? ""}`);
        for (const end of ENDS) rmSync(`${stepFile}${end}`, { force: true });
        writeFileSync(stepFile, String(step));
        const told = await actor.do(at, call).then(
          () => "fine",
          (error: unknown) => String(error),
        );
        expect([name, step, told]).toEqual([name, step, "fine"]);
        // Without one, the hooks are not in the server, and the call succeeded because nothing happened to it.
        const end = await vi.waitFor(() => endOf(stepFile), WAIT);
        if (end === OVER) over.set(name, step);
        else kills++;
        expect([name, step, ...diffSnapshots(wanted.get(name) as Snapshot, comparable(at))]).toEqual([name, step]);
      }
      expect(mount.log()).not.toMatch(/is gone from its place|is not there any more|anomaly/);
    });
    process.stdout.write(`${kills} kills in ${done.size} calls\n`);
    expect(kills).toBeGreaterThan(0);
    expect((await mount.stop()).code).toBe(0);
    const overlay = mountKernelOverlay({ lowers: [lower], upper, work, options: "redirect_dir=on,index=on,metacopy=off" });
    for (const trial of all) {
      if (done.has(folderOf(trial)))
        expect([trial.name, ...diffSnapshots(wanted.get(trial.name) as Snapshot, comparable(join(overlay, folderOf(trial))))]).toEqual([
          trial.name,
        ]);
    }
  },
  whole ? LIFE_MS : 600_000,
);
