/** Sets up the revocation of a mount: its sources, and the log for its findings. */
import { constants } from "node:os";
import type { Decider } from "@sluice/decision-api";
import type { Overlay } from "@sluice/overlay";
import { errnoName } from "@sluice/vfs";
import { lacking } from "@sluice/runtime/cli";
import type { MountConfig } from "../config/mount-config.js";
import type { Grants } from "../enforcement/grants.js";
import { findHolders, holdersUnseen, signalHolder } from "../enforcement/revocation/holders.js";
import type { PolicyGate } from "../enforcement/policy-gate.js";
import { Revocation } from "../enforcement/revocation/revocation.js";
import { toText } from "@sluice/native";
import { mountAt, readMountTable } from "@sluice/mount-control";
import type { MountContext } from "../serve/mount-context.js";

/** @throws CliError, exit code 3, if the mount is to signal holders and cannot find them */
export function refuseUnseenHolders({ onRevoke }: MountConfig): void {
  const reason = onRevoke === "report" ? undefined : holdersUnseen();
  if (reason === undefined) return;
  throw lacking(`--on-revoke ${onRevoke}`, reason, "run in the machine's pid namespace (docker: --pid host), or use --on-revoke report");
}

export function watchRevocation(
  { config, logger, telemetry }: MountContext,
  parts: { decider: Decider; gate: PolicyGate; grants: Grants; overlay: Overlay },
): Revocation {
  parts.gate.namesOf = (handle) => parts.overlay.review(handle)?.intent.paths;
  // Looked up when it is needed: the mount may not be in the table yet.
  const device = (): string => mountAt(config.mountpoint, readMountTable())?.device ?? "";
  const revocation = new Revocation({
    ...parts,
    onRevoke: config.onRevoke,
    holders: {
      find: (inos) => findHolders(device(), inos),
      signal: (holder, signal) => signalHolder(holder, device(), constants.signals[signal]),
    },
    events: {
      revoked: ({ handle, mode, path, pid, uid }, { effect, rule, reason }, passing) =>
        logger.warn(
          { handle, mode, path: toText(path), pid, uid, effect, rule, reason, ...(passing === undefined ? {} : { passing }) },
          passing === undefined
            ? "an open is no longer allowed: its I/O is refused"
            : "an open is no longer allowed, and still passes through",
        ),
      signalled: ({ pid, uid, by }, status) =>
        logger.warn(
          { pid, uid, by, signal: config.onRevoke, ...(status < 0 ? { errno: errnoName(-status) } : {}) },
          "a holder was signalled",
        ),
      failed: (message, detail) => logger.error(detail, message),
    },
  });
  telemetry.revoked = () => revocation.counts();
  return revocation;
}
