/** Mounts layers by the kernel's overlayfs or by Sluice as the script asks, so that both should behave the same. */
import { setTimeout as sleep } from "node:timers/promises";
import { NativeError } from "@sluice/native";
import { mountKernelOverlay, mountSluice, policyOf, type SluiceMountOptions, unmountKernelOverlay } from "@sluice/testkit";
import type { Mode, Setting } from "../script/script.js";
import type { Layers } from "./layers.js";

export type Implementation = "kernel" | "sluice";

export interface Mounted {
  mountpoint: string;
  stop(): Promise<void>;
}

/** By the opener, so that one file is open in several ways at once. */
const MIXED = policyOf("grant", { name: "alice", subject: { uid: 1000 }, effect: "mediate" });
/** By name, so that a renamed or recreated file is opened differently. */
const NAMED = policyOf(
  "grant",
  { name: "mediated", path: "**/a", effect: "mediate" },
  { name: "below", path: "**/b/**", effect: "mediate" },
);
const POLICIES: Readonly<Record<Mode, string | undefined>> = {
  unruled: undefined,
  granted: policyOf("grant"),
  mediated: policyOf("mediate"),
  mixed: MIXED,
  named: NAMED,
  portable: undefined,
};

const BUSY_TRIES = 600;
const BUSY_WAIT_MS = 100;

/** Of `sluice mount`: the program, and its environment. */
export type MountOptions = Pick<SluiceMountOptions, "program" | "env">;

/**
 * Retries while the mount is busy. A process that reads other processes' descriptors in /proc keeps a mount busy for a moment. A
 * mount namespace that another test created holds a copy of the mount, and so its upper layer in use, as long as it lives.
 */
async function onceFree<Value>(work: () => Value): Promise<Value> {
  for (let tries = 1; ; tries++) {
    try {
      return work();
    } catch (error) {
      if (tries === BUSY_TRIES || !(error instanceof NativeError) || error.code !== "EBUSY") throw error;
      await sleep(BUSY_WAIT_MS);
    }
  }
}

export async function mountSide(side: Implementation, layers: Layers, setting: Setting, program: MountOptions = {}): Promise<Mounted> {
  const { lowers, upper, work } = layers;
  const index = setting.index ? "on" : "off";
  const metacopy = setting.metacopy === true ? "on" : "off";
  const stack = setting.readOnly ? { lowers } : { lowers, upper, work };
  if (side === "kernel") {
    // They make the kernel do as Sluice does.
    const kernelOptions = setting.readOnly
      ? `xino=off,metacopy=${metacopy}`
      : `redirect_dir=on,index=${index},metacopy=${metacopy},xino=off`;
    const mountpoint = await onceFree(() => mountKernelOverlay({ ...stack, options: kernelOptions }));
    return { mountpoint, stop: () => onceFree(() => unmountKernelOverlay(mountpoint)) };
  }
  const policy = POLICIES[setting.mode];
  const engine = setting.mode === "portable" ? ["--engine", "fuse-native"] : [];
  const options = setting.readOnly ? `metacopy=${metacopy}` : `index=${index},metacopy=${metacopy}`;
  const args = [...engine, "-o", options];
  const mount = await mountSluice({ ...stack, args, ...program, ...(policy === undefined ? {} : { sharedPolicy: policy }) });
  return { mountpoint: mount.mountpoint, stop: async () => void (await mount.stop()) };
}
