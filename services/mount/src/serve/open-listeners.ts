/** The listeners of a mount: its control socket and its admin port. */
import { existsSync, lstatSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type AdminOptions, type AdminServer, startAdminServer } from "@sluice/runtime";
import { codeOf } from "@sluice/runtime/cli";
import { serveControl, startControlServer } from "../control/control-server.js";
import { CONTROL_SOCKET, KEPT_POLICY, makeRunDirectory, mountInTurn, SHARED_KEEPER_SOCKET } from "@sluice/mount-control";
import { controlHandler } from "../control/control-handler.js";
import { takesOver } from "../setup/open-decider.js";
import type { MountContext } from "./mount-context.js";
import type { MountParts } from "../status/mount-status.js";

const ADMIN_PATIENCE_MS = 20_000;
const LOOK_AGAIN_MS = 100;

/** If this process takes over: a dead one may keep its port until its last thread gets an answer, which this one gives meanwhile. */
export async function openAdminPort(options: AdminOptions, isNext: boolean): Promise<AdminServer> {
  for (const untilMs = isNext ? Date.now() + ADMIN_PATIENCE_MS : 0; ; await sleep(LOOK_AGAIN_MS)) {
    try {
      return await startAdminServer(options);
    } catch (error) {
      if (Date.now() >= untilMs || codeOf((error as Error).cause) !== "EADDRINUSE") throw error;
    }
  }
}

export async function openListeners(context: MountContext, parts: MountParts, runDirectory: string): Promise<void> {
  const { config, owner, undo, telemetry, stop } = context;
  const derived = join(runDirectory, CONTROL_SOCKET);
  const handler = controlHandler(parts, stop);
  const control = await startControlServer(config.control ?? derived, handler);
  if (config.control !== undefined) {
    // Commands find it by the mount point alone. A socket that a killed daemon left there is in the way.
    rmSync(derived, { force: true });
    symlinkSync(config.control, derived);
  }
  undo.push("close the control socket", () => control.close());
  const ofSession = context.keeper?.session?.control ?? -1;
  if (ofSession >= 0) {
    const server = await serveControl(ofSession, handler);
    undo.push("close the session's control socket", () => server.close());
  }
  if (config.admin === undefined) return;
  // Loading it takes long: only a mount with an admin port does.
  const { createRegistry } = await import("@sluice/runtime/metrics");
  // The process is not this mount's alone if it is shared.
  const registry = createRegistry(owner.places === 1);
  for (const metric of telemetry.metrics()) registry.registerMetric(metric as never);
  const notReady = (): string | undefined => (stop.requested ? "draining" : undefined);
  const admin = await openAdminPort({ address: config.admin, registry, notReady }, takesOver(context));
  undo.push("close the admin port", () => admin.close());
  context.logger.info({ admin: admin.address }, "metrics are served");
}

interface ServerDirectory {
  path: string;
  /** Calls `mount`, which makes the mount, unless another one took its place. @throws CliError */
  claim<T>(mount: () => T): T;
  /** Makes room for the sockets of the next server. */
  leave(): void;
  /** The mount is gone, and another one may be made there. */
  remove(): void;
}

/** It outlives each server, so that a command which finds nobody there learns of the keeper, and waits. */
function linkToKeeper(path: string, keeperSocket: string): void {
  const link = join(path, SHARED_KEEPER_SOCKET);
  // A command may look there at this moment: a link that is right stays.
  const isRight = lstatSync(link, { throwIfNoEntry: false })?.isSymbolicLink() === true && readlinkSync(link) === keeperSocket;
  if (!isRight) {
    rmSync(link, { force: true });
    symlinkSync(keeperSocket, link);
  }
}

/** The keeper's, which removes it itself, or one of this process. If the policy in force is there, the next server goes on with it. */
export function runDirectoryOf(context: MountContext): ServerDirectory {
  const { config, keeper, owner, undo } = context;
  if (keeper?.runDirectory !== undefined)
    return { path: keeper.runDirectory, claim: (mount) => mount(), leave: () => undefined, remove: () => undefined };
  const restored = keeper?.link.restored === true;
  const made = makeRunDirectory(config.mountpoint, restored);
  const { path, remove } = made;
  undo.push("remove the socket directory", remove);
  if (owner.keeperSocket !== undefined) linkToKeeper(path, owner.keeperSocket);
  const leave = (): void => {
    if (owner.keeperSocket === undefined && !existsSync(join(path, KEPT_POLICY))) remove();
    else rmSync(join(path, CONTROL_SOCKET), { force: true });
  };
  // A mount that was taken over is there already.
  const claim = <T>(mount: () => T): T => (restored ? mount() : mountInTurn(made, config.mountpoint, mount));
  return { path, claim, leave, remove };
}
