/** `sluice mount --host-service`: has the mount made by a process that serves others, too, and follows it. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { failed, wrong } from "@sluice/runtime/cli";
import type { MountArguments } from "@sluice/service-mount/options";
import { type GivenOption, HOST_SOCKET } from "./mount-options.js";

const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

function onStop(stop: () => void): () => void {
  for (const signal of SIGNALS) process.on(signal, stop);
  return () => {
    for (const signal of SIGNALS) process.off(signal, stop);
  };
}

/**
 * Resolves when the mount has ended, or in the background when it serves. False: a process of its own is to serve it, since no service
 * answers, or it cannot have this mount among others. @throws CliError
 */
export async function mountInService(
  mountpoint: string | undefined,
  { hostService = "off", keeperSocket, background }: MountArguments,
  options: readonly GivenOption[],
): Promise<boolean> {
  const auto = hostService === "auto";
  const socket = auto ? HOST_SOCKET : resolve(hostService);
  if (keeperSocket !== undefined || mountpoint === undefined) {
    if (auto) return false;
    throw wrong("--host-service", "cannot be combined with --keeper-socket", "leave one of them out");
  }
  if (auto && !existsSync(socket)) return false;
  const { HostUnreachable, mountThrough, NeedsOwnProcess } = await import("@sluice/host-api");
  const spec = { mountpoint, options: [...options], directory: process.cwd(), attached: background !== true };
  try {
    await mountThrough(socket, spec, {
      announce: (line) => void process.stdout.write(line),
      tell: (line) => void process.stderr.write(`sluice: ${mountpoint}: ${line}\n`),
      onStop,
    });
    return true;
  } catch (error) {
    const unable = error instanceof HostUnreachable || error instanceof NeedsOwnProcess;
    if (auto && unable) return false;
    if (error instanceof HostUnreachable)
      throw failed(socket, `no host service answers there, or it refuses this user (${error.message})`, "start 'sluice serve'");
    throw error instanceof NeedsOwnProcess ? error.complaint : error;
  }
}
