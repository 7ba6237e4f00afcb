/** `sluice mount --host-service`: has the mount made by a process that serves others, too, and follows it. */
import { accessSync, constants } from "node:fs";
import { resolve } from "node:path";
import { HOST_SOCKET, usersSocketOf } from "@sluice/host-api/socket";
import { wrong } from "@sluice/runtime/cli";
import type { MountArguments } from "@sluice/service-mount/options";
import { mountByService, refuseNoName } from "../host-service.js";
import type { GivenOption } from "./mount-options.js";

const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

function onStop(stop: () => void): () => void {
  for (const signal of SIGNALS) process.on(signal, stop);
  return () => {
    for (const signal of SIGNALS) process.off(signal, stop);
  };
}

/** An ordinary user who may not use root's socket, or names the other one. Members of its group mount as root. */
function isForUsers(socket: string): boolean {
  if (process.geteuid?.() === 0) return false;
  if (socket === usersSocketOf(socket)) return true;
  try {
    accessSync(socket, constants.W_OK);
    return false;
  } catch {
    return true;
  }
}

/** False if no service for ordinary users answers. @throws CliError */
async function mountAsUser(socket: string, mountpoint: string, args: MountArguments): Promise<boolean> {
  const { parseMount } = await import("@sluice/service-mount/options");
  const { askForUserMount } = await import("@sluice/service-mount/user-client");
  // Marks in trusted.* attributes are root's.
  const config = parseMount(mountpoint, { ...args, o: [...(args.o ?? []), "userxattr"] });
  const code = await askForUserMount(socket, config, {
    attached: args.background !== true,
    follower: {
      output: (text) => void process.stdout.write(text),
      error: (text) => void process.stderr.write(text),
      onStop,
    },
  });
  if (code === undefined) return false;
  process.exitCode = code;
  return true;
}

/**
 * Resolves when the mount has ended, or in the background when it serves. False: a process of its own is to serve it, since no service
 * answers, or it cannot have this mount among others. @throws CliError
 */
export async function mountInService(
  mountpoint: string | undefined,
  args: MountArguments,
  options: readonly GivenOption[],
): Promise<boolean> {
  const { hostService = "off", keeperSocket, background } = args;
  if (keeperSocket !== undefined || mountpoint === undefined) {
    if (hostService === "auto") return false;
    throw wrong("--host-service", "cannot be combined with --keeper-socket", "leave one of them out");
  }
  refuseNoName(hostService);
  const socket = hostService === "auto" ? HOST_SOCKET : resolve(hostService);
  if (isForUsers(socket) && (await mountAsUser(socket, mountpoint, args))) return true;
  return mountByService(
    hostService,
    { mountpoint, options, attached: background !== true },
    {
      announce: (line) => void process.stdout.write(line),
      tell: (line) => void process.stderr.write(`sluice: ${mountpoint}: ${line}\n`),
      onStop,
    },
  );
}
