/** One engine's run: cases on a new mount, then the resulting tree as shown by itself, on the disk, and by another engine. */
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { mountKernelOverlay, mountSluice, policyOf, scratch, unmountKernelOverlay } from "@sluice/testkit";
import { allCases } from "../cases/all-cases.js";
import { directoryName } from "../cases/case.js";
import { lookHere } from "../tree/look-here.js";
import type { Snapshot } from "../tree/snapshot-tree.js";
import { type Layers, plantLayers } from "./layers.js";
import { type Results, runCases } from "./run-cases.js";

/** "forgetful": everything granted, while the kernel forgets the mount's inodes and names after each call. */
/** "portable": the engine fuse-native, see test/portable. */
export type Engine = "kernel" | "granted" | "mediated" | "forgetful" | "portable";

export interface Outcome {
  results: Results;
  /** The merged tree from the engine that made it. */
  merged: Snapshot;
  /** The upper layer on the disk. */
  upper: Snapshot;
  /** The merged tree from another engine over the same layers; empty without such a mount. */
  remounted: Snapshot;
  lowersBefore: readonly Snapshot[];
  lowersAfter: readonly Snapshot[];
}

/** Options that make the kernel do as Sluice does. */
const KERNEL_OPTIONS = "redirect_dir=on,index=on,metacopy=off,xino=off";
const POLICY = policyOf("mediate");
const SNAPSHOT_PROCESS = fileURLToPath(new URL("../dist/run/snapshot-process.js", import.meta.url));
const SNAPSHOT_MS = 120_000;
const run = promisify(execFile);

interface Mounted {
  mountpoint: string;
  stop(): Promise<void>;
}

/** A read-only mount without `upper`. */
async function mount(engine: Engine, layers: Pick<Layers, "lowers"> & Partial<Layers>): Promise<Mounted> {
  if (engine === "kernel") {
    const mountpoint = mountKernelOverlay({ ...layers, options: KERNEL_OPTIONS });
    return { mountpoint, stop: async () => unmountKernelOverlay(mountpoint) };
  }
  const args = engine === "portable" ? ["--engine", "fuse-native"] : [];
  const sluice = await mountSluice({ ...layers, args, ...(engine === "mediated" ? { sharedPolicy: POLICY } : {}) });
  const stop = async (): Promise<void> => {
    await sluice.stop();
    if (process.env["SLUICE_CONFORMANCE_LOG"] !== undefined) process.stderr.write(sluice.log());
  };
  return { mountpoint: sluice.mountpoint, stop };
}

async function lookAt(engine: Engine, path: string): Promise<Snapshot> {
  if (engine === "kernel") return lookHere({ kind: "merged", path });
  const output = `${scratch()}/snapshot.json`;
  await run(process.execPath, [SNAPSHOT_PROCESS, path, output], { timeout: SNAPSHOT_MS, killSignal: "SIGKILL" });
  return JSON.parse(readFileSync(output, "utf8")) as Snapshot;
}

const lookAtLowers = ({ lowers }: Layers): Snapshot[] => lowers.map((path) => lookHere({ kind: "lower", path }));

async function lookFromAnother(engine: Engine, layers: Layers): Promise<Snapshot> {
  const other = engine === "kernel" ? "granted" : "kernel";
  const again = await mount(other, layers);
  const remounted = await lookAt(other, again.mountpoint);
  await again.stop();
  return remounted;
}

/** `remounts`: whether another engine also shows the tree afterwards, which takes as long as most of the cases. */
export async function runEngine(engine: Engine, names: readonly string[], { remounts = true } = {}): Promise<Outcome> {
  const base = `${scratch()}/layers`;
  mkdirSync(base);
  const layers = plantLayers(base, names);
  const lowersBefore = lookAtLowers(layers);
  const mounted = await mount(engine, layers);
  const readOnly = allCases.filter((one) => one.readOnly === true).map(({ name }) => directoryName(name));
  const results = await runCases(
    mounted.mountpoint,
    names.filter((name) => !readOnly.includes(name)),
    engine === "forgetful",
  );
  const merged = await lookAt(engine, mounted.mountpoint);
  await mounted.stop();
  const upper = lookHere({ kind: "upper", path: layers.upper });
  const remounted = remounts ? await lookFromAnother(engine, layers) : {};
  const bare = await mount(engine, { lowers: layers.lowers });
  Object.assign(
    results,
    await runCases(
      bare.mountpoint,
      names.filter((name) => readOnly.includes(name)),
    ),
  );
  await bare.stop();
  const lowersAfter = lookAtLowers(layers);
  return { results, merged, upper, remounted, lowersBefore, lowersAfter };
}
