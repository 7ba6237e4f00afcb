/** The same layers, mounted in turns by kernel overlayfs and by Sluice. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { mountKernelOverlay, mountSluice, plant, runScript, scratch, type Tree, unmountKernelOverlay } from "@sluice/testkit";

export interface Alternating {
  lower: string;
  upper: string;
  work: string;
  /** Mounts with these options, runs a script for sh(1) in the tree, unmounts. Returns what it printed, errors included. */
  kernel(options: string, script: string): Promise<string>;
  sluice(options: string, script: string): Promise<string>;
}

async function run(script: string, cwd: string): Promise<string> {
  return (await runScript(["sh", "-c", `exec 2>&1; ${script}`], { cwd, env: { LC_ALL: "C" } })).stdout;
}

export async function onLayers(lower: Tree, use: (layers: Alternating) => Promise<void>, base = scratch()): Promise<void> {
  const paths = { lower: join(base, "lower"), upper: join(base, "upper"), work: join(base, "work") };
  for (const path of Object.values(paths)) mkdirSync(path);
  plant(paths.lower, lower);
  const { upper, work } = paths;
  const layers = { lowers: [paths.lower], upper, work };
  await use({
    ...paths,
    async kernel(options, script) {
      const mountpoint = mountKernelOverlay({ ...layers, options });
      const output = await run(script, mountpoint);
      unmountKernelOverlay(mountpoint);
      return output;
    },
    async sluice(options, script) {
      const mount = await mountSluice({ ...layers, args: ["-o", options] });
      const output = await run(script, mount.mountpoint);
      await mount.stop();
      return output;
    },
  });
}
