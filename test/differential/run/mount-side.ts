/** Mounts layers by the kernel's overlayfs or by Sluice as the script asks, so that both should show and do the same. */
import { mountKernelOverlay, mountSluice, unmountKernelOverlay } from "@sluice/testkit";
import type { Mode, Setting } from "../script/script.js";
import type { Layers } from "./layers.js";

export type Implementation = "kernel" | "sluice";

export interface Mounted {
  mountpoint: string;
  stop(): Promise<void>;
}

/** The options that make the kernel do what Sluice does. */
const KERNEL_OPTIONS = "redirect_dir=on,index=off,metacopy=off,xino=off";

/** By name, so that names which move or are made anew change how they are opened. */
const MIXED = `version: 1
default: grant
rules:
  - { name: mediated, path: "**/a", effect: mediate }
  - { name: below, path: "**/b/**", effect: mediate }
`;
const POLICIES: Readonly<Record<Mode, string | undefined>> = {
  unruled: undefined,
  granted: "version: 1\ndefault: grant\n",
  mediated: "version: 1\ndefault: mediate\n",
  mixed: MIXED,
  portable: undefined,
};

export interface MountOptions {
  /** The environment of `sluice mount`. */
  env?: Readonly<Record<string, string>>;
}

export async function mountSide(side: Implementation, layers: Layers, setting: Setting, { env = {} }: MountOptions = {}): Promise<Mounted> {
  const { lowers, upper, work } = layers;
  const stack = setting.readOnly ? { lowers } : { lowers, upper, work };
  if (side === "kernel") {
    // Alone, a lower layer is no overlay to the kernel.
    const options = setting.readOnly ? "xino=off" : KERNEL_OPTIONS;
    const mountpoint = mountKernelOverlay({ ...stack, options });
    return { mountpoint, stop: async () => unmountKernelOverlay(mountpoint) };
  }
  const policy = POLICIES[setting.mode];
  const args = setting.mode === "portable" ? ["--engine", "fuse-native"] : [];
  const mount = await mountSluice({ ...stack, args, env, ...(policy === undefined ? {} : { policy }) });
  return { mountpoint: mount.mountpoint, stop: async () => void (await mount.stop()) };
}
