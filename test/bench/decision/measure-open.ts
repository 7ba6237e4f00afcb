/** Open and close of a file whose grant is cached, beside the same on a mount with no policy at all. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Figure } from "./figures.js";
import { compare, timed } from "./rounds.js";

const CLI = fileURLToPath(new URL("../../../../packages/cli/bin/sluice.cjs", import.meta.url));
const FILES = 64;
const TURNS = 4_000;
const WARM_UP_MS = 1_000;

async function mount(directory: string, name: string, args: readonly string[], undo: (undo: () => void) => void): Promise<string> {
  const mountpoint = join(directory, name);
  mkdirSync(mountpoint);
  const child = spawn(process.execPath, [CLI, "mount", "--lower", join(directory, "lower"), "--log-level", "silent", ...args, mountpoint], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  undo(() => {
    spawnSync("umount", ["-l", mountpoint]);
    child.kill("SIGTERM");
  });
  await once(child.stdout as NonNullable<typeof child.stdout>, "data");
  return mountpoint;
}

export async function measureOpen(directory: string, undo: (undo: () => void) => void): Promise<Figure[]> {
  const policy = join(directory, "open-policy.yaml");
  mkdirSync(join(directory, "lower", "data"), { recursive: true });
  for (let file = 0; file < FILES; file++) writeFileSync(join(directory, "lower", "data", `f${file}`), "content");
  writeFileSync(policy, "version: 1\ndefault: deny\nrules:\n  - { name: data, path: 'data/**', effect: grant }\n");
  // Locks of the daemon cost a request with each close, and depend on whether there is a policy: here both use the kernel's.
  const locks = ["--locks", "kernel"];
  const gated = await mount(directory, "gated", [...locks, "--policy", policy], undo);
  const free = await mount(directory, "free", locks, undo);
  // A policy that was written just now could be written again with the same times: until then it is asked each time.
  await new Promise((resolve) => setTimeout(resolve, WARM_UP_MS));
  const opening = (place: string) => (): number =>
    timed(TURNS, (turn) => closeSync(openSync(join(place, "data", `f${turn % FILES}`), "r")));
  const opens = await compare(opening(gated), opening(free), 15);
  return [
    {
      name: "open and close with a kept grant, of no policy",
      measured: `${opens.one.toFixed(1)} µs and ${opens.other.toFixed(1)} µs`,
      value: opens.ratio,
      bound: { kind: "most", value: 1.1, unit: "times" },
    },
  ];
}
