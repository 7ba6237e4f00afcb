/** The costs of a mount beside its speed: the time until it serves, growth under churn, pauses for garbage, size on disk. */
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BenchError, messageOf } from "../bench-error.js";
import type { CleanUp } from "../clean-up.js";
import { runCommand } from "../machine/run-command.js";
import { runLoad } from "../phases/load-generator.js";
import type { Bench } from "../phases/phase.js";
import { COLLECT_RUNTIME, WATCH_PAUSES } from "../program-paths.js";
import { quantile } from "../run/statistics.js";
import { openSession, type Session, type Tree } from "../subjects/session.js";
import type { Subject } from "../subjects/subject.js";
import type { CostPoint } from "./cost-point.js";

export interface CostsRun {
  subjects: readonly Subject[];
  bench: Bench;
  cleanUp: CleanUp;
  signal: AbortSignal;
  progress(line: string): void;
}

interface PlantedLayers {
  tree: Tree;
  files: number;
}

async function plant({ bench }: CostsRun): Promise<PlantedLayers> {
  const folder = join(bench.storage.layers, "costs");
  mkdirSync(join(folder, "tree"), { recursive: true });
  mkdirSync(join(folder, "scratch"));
  const files = bench.sizes.watchedFiles;
  await runLoad(bench.load, "plant", { directory: join(folder, "tree"), files, sizeBytes: 16 });
  // A mirror's copy of it would take longer than the measurement.
  return { tree: { lowers: [folder], notForMirrors: ["tree"] }, files };
}

/** With a session of its own, whatever happens in it. */
async function withSession<Value>(
  { bench, cleanUp, signal }: CostsRun,
  { subject, tree, environment }: { subject: Subject; tree: Tree; environment?: Readonly<Record<string, string>> },
  work: (session: Session) => Promise<Value>,
): Promise<Value> {
  signal.throwIfAborted();
  const session = await openSession(subject, tree, { storage: bench.storage, cleanUp, ...(environment ? { environment } : {}) });
  try {
    return await work(session);
  } finally {
    await session.stop();
  }
}

async function timeToMount(run: CostsRun, subject: Subject, { tree }: PlantedLayers): Promise<CostPoint> {
  const values: number[] = [];
  for (let mount = 0; mount < run.bench.sizes.mounts; mount++)
    values.push(await withSession(run, { subject, tree }, async ({ mountMs }) => mountMs));
  return { cost: "time to mount", subject: subject.name, unit: "ms", values };
}

/** Files come and go; the first third brings the daemon to its working size, and anything on top is growth. */
function growth(run: CostsRun, subject: Subject, { tree }: PlantedLayers): Promise<CostPoint> {
  const { load, sizes } = run.bench;
  return withSession(run, { subject, tree }, async (session) => {
    const startedMs = Date.now();
    let steadyBytes = 0;
    for (let turn = 0; Date.now() - startedMs < sizes.churnMs || steadyBytes === 0; turn++) {
      run.signal.throwIfAborted();
      await runLoad(load, "create-write", { directory: join(session.root, "scratch"), files: sizes.changeFiles, tag: `c${turn}` });
      if (steadyBytes === 0 && Date.now() - startedMs > sizes.churnMs / 3) steadyBytes = session.residentBytes();
    }
    const values = [(session.residentBytes() / steadyBytes - 1) * 100];
    return { cost: "growth under churn", subject: subject.name, unit: "%", values };
  });
}

/** Names are learned, looked for and changed, by two clients, while the nodes of a large tree are held. */
async function loadForPauses({ root }: Session, { load, sizes }: Bench, files: number): Promise<void> {
  await runLoad(load, "walk", { directory: join(root, "tree"), files });
  for (let turn = 0; turn < 3; turn++) {
    const changed = { directory: join(root, "scratch"), files: sizes.changeFiles * 4, processes: 2, tag: `p${turn}` };
    await runLoad(load, "read", { directory: join(root, "tree"), files: sizes.treeFiles, sizeBytes: 16, processes: 2, forget: root });
    await runLoad(load, "missing", { directory: join(root, "tree"), files: sizes.treeFiles, tag: `p${turn}` });
    for (const phase of ["create-write", "rename", "unlink"]) await runLoad(load, phase, changed);
  }
}

/** The output of watch-pauses.mjs. */
interface Watched {
  refused: string;
  pauses: [atMs: number, tookMs: number, young: boolean][];
}

/** In ms, shortest first. */
interface Pauses {
  all: number[];
  young: number[];
}

/** The pauses of the one that served, which had most to do. */
async function pausesOf(run: CostsRun, subject: Subject, { tree, files }: PlantedLayers, how: "first" | "equal"): Promise<Pauses> {
  const folder = join(run.bench.storage.outside, "pauses", `${subject.name}-${how}`);
  mkdirSync(folder, { recursive: true });
  const first = how === "first" ? { WATCH_PAUSES_FIRST: "1" } : {};
  const environment = { NODE_OPTIONS: `--import=${WATCH_PAUSES}`, WATCH_PAUSES_IN: folder, ...first };
  let loadedFromMs = 0;
  await withSession(run, { subject, tree, environment }, (session) => {
    loadedFromMs = Date.now();
    return loadForPauses(session, run.bench, files);
  });
  const all = readdirSync(folder).map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")) as Watched);
  const served = all.reduce((most, one) => (one.pauses.length > most.pauses.length ? one : most), { refused: "", pauses: [] });
  if (served.refused !== "") throw new BenchError(3, `no processor of its own for the server: ${served.refused}`);
  const loaded = served.pauses.filter(([atMs]) => atMs >= loadedFromMs).sort(([, a], [, b]) => a - b);
  const took = (pauses: Watched["pauses"]): number[] => pauses.map(([, tookMs]) => tookMs);
  return { all: took(loaded), young: took(loaded.filter(([, , young]) => young)) };
}

/** With a processor whenever the server wants one, which is what collecting takes; and as long as it may be kept waiting for one. */
async function pauses(run: CostsRun, subject: Subject, planted: PlantedLayers): Promise<CostPoint[]> {
  const first = await pausesOf(run, subject, planted, "first");
  const equal = await pausesOf(run, subject, planted, "equal");
  // NaN is the median of no pauses at all.
  const point = (cost: string, unit: string, value: number): CostPoint => ({ cost, subject: subject.name, unit, values: [value || 0] });
  const sum = first.all.reduce((total, one) => total + one, 0);
  return [
    point("pauses for garbage", "pauses", first.all.length),
    point("pause for garbage, p50", "ms", quantile(first.all, 0.5)),
    point("pause for garbage, p99.9", "ms", quantile(first.all, 0.999)),
    point("pause for garbage of the young generation, p99.9", "ms", quantile(first.young, 0.999)),
    point("pauses for garbage, in all", "ms", sum),
    point("pause for garbage while clients get the processor, p99.9", "ms", quantile(equal.all, 0.999)),
  ];
}

async function sizeOnDisk({ bench }: CostsRun): Promise<CostPoint> {
  const folder = join(bench.storage.outside, "runtime");
  await runCommand(process.execPath, [COLLECT_RUNTIME, folder]);
  const { stdout } = await runCommand("du", ["-s", "--apparent-size", "-B1", folder]);
  await runCommand("rm", ["-rf", "--", folder]);
  return { cost: "size on disk, without Node", subject: "sluice", unit: "bytes", values: [Number(stdout.split("\t")[0])] };
}

/** A cost that cannot be had is named and missing. @throws what `signal` was aborted with */
export async function measureCosts(run: CostsRun): Promise<CostPoint[]> {
  const found: CostPoint[] = [];
  const attempt = async (what: string, work: () => Promise<CostPoint | CostPoint[]>): Promise<void> => {
    try {
      found.push(...[await work()].flat());
    } catch (error) {
      run.signal.throwIfAborted();
      run.progress(`costs: ${what}: ${messageOf(error)}`);
    }
    run.progress(`costs: ${what}`);
  };
  const planted = await plant(run);
  for (const subject of run.subjects.filter(({ kind }) => kind !== "native" && kind !== "kernel")) {
    await attempt(`time to mount, ${subject.name}`, () => timeToMount(run, subject, planted));
    if (subject.kind !== "sluice" || subject.supervised === true) continue;
    await attempt(`growth under churn, ${subject.name}`, () => growth(run, subject, planted));
    await attempt(`pauses, ${subject.name}`, () => pauses(run, subject, planted));
  }
  await attempt("size on disk", () => sizeOnDisk(run));
  for (const lower of planted.tree.lowers) await runCommand("rm", ["-rf", "--", lower]);
  return found;
}
