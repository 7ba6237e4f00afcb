/**
 * The worlds of the probes: the bare file system, kernel overlayfs, and Sluice with passthrough and without, each on layers of
 * its own.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { mountKernelOverlay, mountSluice } from "@sluice/testkit";

export const worlds = ["native", "kernel", "granted", "mediated"] as const;
export type World = (typeof worlds)[number];

const policyOf = (effect: "grant" | "mediate"): string => `version: 1\ndefault: ${effect}\n`;

export interface WorldDirectory {
  /** The directory in which the probe uses the files. */
  path: string;
  /** Their directory beneath the mount; equal to `path` without a mount. */
  backing: string;
  end(): Promise<void>;
}

/** `base`: an empty directory on the file system of the layers. */
export async function enter(world: World, base: string): Promise<WorldDirectory> {
  const [lower, upper, work] = ["lower", "upper", "work"].map((name) => {
    mkdirSync(join(base, world, name), { recursive: true });
    return join(base, world, name);
  }) as [string, string, string];
  if (world === "native") return { path: upper, backing: upper, end: async () => undefined };
  if (world === "kernel") return { path: mountKernelOverlay({ lowers: [lower], upper, work }), backing: upper, end: async () => undefined };
  const mount = await mountSluice({ lowers: [lower], upper, work, sharedPolicy: policyOf(world === "granted" ? "grant" : "mediate") });
  return { path: mount.mountpoint, backing: upper, end: async () => void (await mount.stop()) };
}
