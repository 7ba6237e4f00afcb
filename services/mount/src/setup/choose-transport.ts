/**
 * What the kernel's requests come by. "auto" is read(2), also where the kernel offers io_uring: what was measured of that with
 * one event loop is no gain (docs/transports.md), so it is for whoever asks for it. Never with a keeper: requests that a
 * ring brought to a server which was killed never come again, not by FUSE_NOTIFY_RESEND either
 * (test/engine/uring-keeper.test.ts), and those who wait for them would wait for ever.
 */
import { whyNoUring } from "@sluice/engine-devfuse";
import type { Engine, EngineKind } from "@sluice/vfs";
import { lacking, wrong } from "@sluice/runtime/cli";
import type { MountConfig } from "../config/mount-config.js";

const NOT_ASKED = "--transport uring was not asked for, and was measured to be no faster";
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
export function withoutUring({ transport }: Pick<MountConfig, "transport">, kept: boolean): string | undefined {
  if (kept) return KEPT;
  return transport === "auto" ? NOT_ASKED : undefined;
}

/** For the line that says that the mount is there. */
export function transportWord({ name }: EngineKind, { transport }: Engine): string {
  return name === "devfuse" ? `; requests by ${transport.name === "uring" ? "io_uring" : "read"}` : "";
}
