/** The unmount of a mount that ends, whoever asks for it first. */
import { readMountTable } from "@sluice/mount-control";
import { escapeTextName, failed, shellWord } from "@sluice/runtime/cli";
import type { Engine } from "@sluice/vfs";
import type { MountConfig } from "../config/mount-config.js";
import { holdersUnseen } from "../enforcement/revocation/holders.js";
import type { MountContext } from "../serve/mount-context.js";
import { findMountUsers } from "./mount-users.js";
import { type TakenDown, takeDown } from "./take-down.js";

/** How to look for the users of a mount; see TakeDownParts. */
export function usersOf({ config: { mountpoint }, device }: Pick<MountContext, "config" | "device">): {
  users(): Promise<string[]>;
  unseen(): string | undefined;
} {
  return {
    users: () => findMountUsers(device, mountpoint, readMountTable()),
    unseen: () => (device === "" ? "the mount is not in this namespace" : holdersUnseen()),
  };
}

/** The places at which it stays without a server: those that another mount covers cannot be reached, and others made copies. For a person. */
function leftPlaces({ config: { mountpoint }, device }: MountContext): string[] {
  const rows = device === "" ? [] : readMountTable().filter((row) => row.device === device);
  return rows.map(({ mountpoint: at }) =>
    at === mountpoint
      ? `it stays below another mount, dead: unmount that one, then run 'sluice unmount ${shellWord(at)}'`
      : `its copy on ${escapeTextName(at)} stays, dead: run 'umount ${shellWord(at)}'`,
  );
}

/** The layers are free when it resolves, whatever else is still to be taken down. */
async function unmount(context: MountContext, engine: Engine, openFiles: () => number): Promise<TakenDown> {
  const { config, stop, logger, tell } = context;
  const how = await takeDown({ engine, stop, logger, tell, graceMs: config.graceMs, openFiles, ...usersOf(context) });
  logger.info({ how }, "unmounted");
  if (how !== "clean") leftPlaces(context).forEach(tell);
  return how;
}

/** Unmounts at the first call; further calls wait for the same. */
export function unmountOnce(context: MountContext, engine: Engine, openFiles: () => number): () => Promise<TakenDown> {
  let down: Promise<TakenDown> | undefined;
  return () => (down ??= unmount(context, engine, openFiles));
}

export function cutOffError({ mountpoint, graceMs }: MountConfig): Error {
  return failed(
    mountpoint,
    `it was still in use ${graceMs / 1000} s after it was told to stop (ETIMEDOUT): its users were cut off`,
    "end them first, or give them longer with --grace",
  );
}
