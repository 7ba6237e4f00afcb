/**
 * Chooses how the kernel's requests arrive. "auto" is read(2), even if the kernel offers io_uring: with one event loop io_uring was
 * measured to be no faster (docs/transports.md), so a mount uses it only on request. A mount with a keeper never uses it: the kernel does
 * not send again the requests that a ring delivered to a killed server, not even after FUSE_NOTIFY_RESEND
 * (test/engine/uring-keeper.test.ts), so their callers would wait for ever.
 */
import { whyNoUring } from "@sluice/engine-devfuse";
import type { Engine, EngineKind } from "@sluice/vfs";
import { lacking, wrong } from "@sluice/runtime/cli";
import type { MountConfig } from "../config/mount-config.js";

const NOT_ASKED = "--transport uring was not asked for, and was measured to be no faster";
const SUPERVISED = "a keeper holds the mount, and requests in rings would not outlive the server";

/** @throws CliError if the options ask for io_uring and the mount cannot use it */
export function refuseImpossibleTransport({ transport, keeper, engine }: Pick<MountConfig, "transport" | "keeper" | "engine">): void {
  if (transport !== "uring") return;
  if (keeper === "on") throw wrong("--transport uring", SUPERVISED, "use --transport auto, or --keeper off");
  if (engine === "fuse-native") throw wrong("--transport uring", "the engine fuse-native has no rings", "use --engine devfuse");
  const why = whyNoUring();
  if (why !== undefined) throw lacking("--transport uring", why.problem, why.remedy);
}

/** The reason not to use io_uring for a mount that could use it. */
export function withoutUring({ transport }: Pick<MountConfig, "transport">, supervised: boolean): string | undefined {
  if (supervised) return SUPERVISED;
  return transport === "auto" ? NOT_ASKED : undefined;
}

/** For the line that reports the mount. */
export function transportWord({ name }: EngineKind, { transport }: Engine): string {
  return name === "devfuse" ? `; requests by ${transport.name === "uring" ? "io_uring" : "read"}` : "";
}
