/** Has mounts made by a host service, one process that serves many mounts. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { type CliError, failed, wrong } from "@sluice/runtime/cli";
import type { MountFollower } from "@sluice/host-api";
import { HOST_SOCKET, ownMountNamespace, usersSocketOf } from "@sluice/host-api/socket";
import type { GivenOption } from "./commands/mount-options.js";

/** @throws CliError if `chosen` names nothing: it would be the working directory */
export function refuseNoName(chosen: string): void {
  if (chosen === "") throw wrong("--host-service", "the name is empty", "name a socket, or write auto or off");
}

/** The socket of a service: "auto" is the usual one, if there is a service. Undefined: no service is to be asked. */
export function serviceSocket(chosen: string): string | undefined {
  refuseNoName(chosen);
  if (chosen === "off") return undefined;
  if (chosen !== "auto") return resolve(chosen);
  return existsSync(HOST_SOCKET) ? HOST_SOCKET : undefined;
}

/** Nobody takes the request at the socket that a person named. */
export function unanswered(socket: string): CliError {
  if (process.geteuid?.() === 0 && socket === usersSocketOf(socket))
    return failed(socket, "this socket is for ordinary users (EPERM)", "name the socket that 'sluice serve' prints");
  return failed(
    socket,
    "no host service answers there, or it refuses this user",
    "start 'sluice serve', for ordinary users with --user-mounts 16",
  );
}

/** A service that listens, and says nothing. */
export function hanging(socket: string, afterMs: number): CliError {
  return failed(socket, `the host service has not answered for ${afterMs / 1000} s`, "restart it, or use --host-service off");
}

interface Wanted {
  mountpoint: string;
  options: readonly GivenOption[];
  /** The mount ends with this process. */
  attached: boolean;
}

/**
 * Resolves when an attached mount has ended, and for another one as soon as it serves. False with "auto": a process of its own is to
 * serve it, since the service does not answer, or cannot have this mount among others. @throws CliError
 */
export async function mountByService(chosen: string, { mountpoint, options, attached }: Wanted, follower: MountFollower): Promise<boolean> {
  const socket = serviceSocket(chosen);
  if (socket === undefined) return false;
  const auto = chosen === "auto";
  const { HostSilent, HostUnreachable, mountPlainly, NeedsOwnProcess } = await import("@sluice/host-api/plain");
  // A person who names the socket may mean paths of the service.
  const mountNamespace = auto ? ownMountNamespace() : 0;
  const spec = { mountpoint, options: [...options], directory: process.cwd(), attached, abandonedAtEnd: false, mountNamespace };
  try {
    await mountPlainly(socket, spec, follower);
    return true;
  } catch (error) {
    if (auto && error instanceof HostSilent) follower.tell(hanging(socket, error.afterMs).problem);
    if (auto && (error instanceof HostUnreachable || error instanceof NeedsOwnProcess)) return false;
    if (error instanceof HostSilent) throw hanging(socket, error.afterMs);
    if (error instanceof HostUnreachable) throw unanswered(socket);
    throw error instanceof NeedsOwnProcess ? error.complaint : error;
  }
}
