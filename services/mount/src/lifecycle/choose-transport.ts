/**
 * What the kernel's requests come by. "auto" takes io_uring wherever the kernel offers it, but for a mount with a keeper:
 * requests that a ring brought to a server which was killed never come again, not by FUSE_NOTIFY_RESEND either
 * (test/engine/uring-keeper.test.ts), and those who wait for them would wait for ever.
 */
import { whyNoUring } from "@sluice/engine-devfuse";
import type { Engine, EngineKind } from "@sluice/vfs";
import { lacking, wrong } from "../complaint.js";
import type { MountConfig } from "../config/mount-config.js";

const KEPT = "a keeper holds the mount, and requests in rings would not outlive the server";

/** Throws CliError where io_uring was asked for by name and cannot be had. */
export function refuseImpossibleTransport({ transport, keeper, engine }: Pick<MountConfig, "transport" | "keeper" | "engine">): void {
  if (transport !== "uring") return;
  if (keeper === "on") throw wrong("--transport uring", KEPT, "use --transport auto, or --keeper off");
  if (engine === "fuse-native") throw wrong("--transport uring", "the engine fuse-native has no rings", "use --engine devfuse");
  const why = whyNoUring();
  if (why !== undefined) throw lacking("--transport uring", why.problem, why.remedy);
}

/** Why io_uring must not be used for a mount, although it could be. */
export function withoutUring(kept: boolean): string | undefined {
  return kept ? KEPT : undefined;
}

/** For the line that says that the mount is there. */
export function transportWord({ name }: EngineKind, { transport }: Engine): string {
  return name === "devfuse" ? `; requests by ${transport.name === "uring" ? "io_uring" : "read"}` : "";
}
