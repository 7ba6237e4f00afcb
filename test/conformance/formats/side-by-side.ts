/** One script over equal layers on kernel overlayfs and on Sluice with the same options: its output, and its upper layer. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { mountKernelOverlay, mountSluice, plant, runScript, scratch, snapshot, type Tree, unmountKernelOverlay } from "@sluice/testkit";

export interface Setting {
  /** Topmost first. */
  lowers: readonly Tree[];
  data?: readonly Tree[];
  /** Undefined: a mount without an upper layer. */
  upper?: Tree;
  options?: string;
  /** For sh(1), in the mounted tree. */
  script: string;
}

export interface Seen {
  output: string;
  /** Path → type, mode, size and attributes, except those that name the layers themselves. */
  upper: Record<string, string>;
}

interface Layers {
  lowers: string[];
  dataLowers: string[];
  upper?: string;
  work?: string;
}

/**
 * Origins hold numbers of the layers' files, and the kernel adds them, with "impure", at a mere look-up; a FUSE mount has no id
 * to store.
 */
const NAMES_THE_LAYERS = /\.overlay\.(origin|impure|uuid)$/;

function plantLayers(setting: Setting): Layers {
  const base = scratch();
  const make = (name: string, tree: Tree): string => {
    const path = join(base, name);
    mkdirSync(path);
    return plant(path, tree);
  };
  const lowers = setting.lowers.map((tree, i) => make(`lower${i}`, tree));
  const dataLowers = (setting.data ?? []).map((tree, i) => make(`data${i}`, tree));
  if (setting.upper === undefined) return { lowers, dataLowers };
  return { lowers, dataLowers, upper: make("upper", setting.upper), work: make("work", {}) };
}

async function run(script: string, cwd: string): Promise<string> {
  const result = await runScript(["sh", "-c", `exec 2>&1; ${script}`], { cwd, env: { LC_ALL: "C" } });
  if (result.timedOut) throw new Error(`it hung after: ${result.stdout}`);
  return result.stdout;
}

function look(upper: string | undefined): Record<string, string> {
  if (upper === undefined) return {};
  const seen: Record<string, string> = {};
  for (const [path, entry] of snapshot(upper, { ignoreXattrs: NAMES_THE_LAYERS })) {
    const xattrs = Object.entries(entry.xattrs).map(
      ([name, hex]) => `${name}=${JSON.stringify(Buffer.from(hex, "hex").toString("latin1"))}`,
    );
    seen[path] = [entry.type, entry.mode, entry.owner, entry.sizeBytes ?? "", entry.content ?? "", ...xattrs.sort()].join(" ");
  }
  return seen;
}

export async function onKernel(setting: Setting, options = ""): Promise<Seen> {
  const layers = plantLayers(setting);
  const all = [setting.options, options].filter((text) => text !== undefined && text !== "").join(",");
  const mountpoint = mountKernelOverlay({ ...layers, ...(all === "" ? {} : { options: all }) });
  const output = await run(setting.script, mountpoint);
  unmountKernelOverlay(mountpoint);
  return { output, upper: look(layers.upper) };
}

export async function onSluice(setting: Setting, policy?: string): Promise<Seen> {
  const layers = plantLayers(setting);
  const args = setting.options === undefined ? [] : ["-o", setting.options];
  const mount = await mountSluice({ ...layers, args, ...(policy === undefined ? {} : { sharedPolicy: policy }) });
  const output = await run(setting.script, mount.mountpoint);
  await mount.stop();
  return { output, upper: look(layers.upper) };
}
