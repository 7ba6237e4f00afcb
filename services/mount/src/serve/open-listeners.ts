/** Where a mount can be asked: its control socket and its admin port. */
import { rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { startAdminServer } from "@sluice/runtime";
import { startControlServer } from "../control/control-server.js";
import { CONTROL_SOCKET, makeRunDirectory } from "@sluice/mount-control";
import { controlHandler } from "../control/control-handler.js";
import type { Life } from "./mount-context.js";
import type { MountParts } from "../status/mount-status.js";

export async function openDoors(life: Life, parts: MountParts, runDirectory: string): Promise<void> {
  const { config, undo, telemetry, stop } = life;
  const derived = join(runDirectory, CONTROL_SOCKET);
  const control = await startControlServer(config.control ?? derived, controlHandler(parts, stop));
  if (config.control !== undefined) {
    // So that the commands find it by the mount point alone. What a killed daemon left there is in the way.
    rmSync(derived, { force: true });
    symlinkSync(config.control, derived);
  }
  undo.push("close the control socket", () => control.close());
  if (config.admin === undefined) return;
  // Loaded only where somebody is to scrape: it takes long.
  const { createRegistry } = await import("@sluice/runtime/metrics");
  const registry = createRegistry(true);
  for (const metric of telemetry.metrics()) registry.registerMetric(metric as never);
  const admin = await startAdminServer({ address: config.admin, registry, notReady: () => (stop.requested ? "draining" : undefined) });
  undo.push("close the admin port", () => admin.close());
  life.logger.info({ admin: admin.address }, "metrics are served");
}

/** The keeper's, which removes it itself; or one of our own. */
export function runDirectoryOf({ config, kept, undo }: Life): { path: string; remove(): void } {
  if (kept?.runDirectory !== undefined) return { path: kept.runDirectory, remove: () => undefined };
  const run = makeRunDirectory(config.mountpoint);
  undo.push("remove the socket directory", run.remove);
  return run;
}
