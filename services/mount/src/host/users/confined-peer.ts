/**
 * Refuses peers that are confined. A server of their mount would not be: it is started by the service, and reaches whatever the user may
 * reach. A descriptor of a directory would then give more than its owner can do with it, since Landlock judges each open, and not the
 * directory. Landlock and seccomp take no_new_privs of a process without privilege (landlock_restrict_self(2), seccomp(2)); programs with
 * the set-user-id bit have no effect for such a process either.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { native } from "@sluice/native";
import { unfit } from "@sluice/runtime/cli";
import type { Peer } from "./peer-of-socket.js";

interface Confinement {
  noNewPrivileges: boolean;
  /** Filters of seccomp. */
  filters: number;
  userNamespace: string;
  mountNamespace: string;
}

/** @throws if the process has ended */
function confinementOf(pid: number | "self"): Confinement {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s*(\\d+)$`, "m").exec(status)?.[1] ?? 0);
  return {
    noNewPrivileges: field("NoNewPrivs") !== 0,
    filters: field("Seccomp_filters"),
    userNamespace: readlinkSync(`/proc/${pid}/ns/user`),
    mountNamespace: readlinkSync(`/proc/${pid}/ns/mnt`),
  };
}

/** In words; undefined if it is not confined. @throws if the process has ended */
function howConfined(pid: number): string | undefined {
  const [there, here] = [confinementOf(pid), confinementOf("self")];
  if (there.noNewPrivileges) return "cannot get privileges (no_new_privs)";
  if (there.filters > here.filters) return "has a seccomp filter";
  if (there.userNamespace !== here.userNamespace) return "is in a user namespace";
  return there.mountNamespace === here.mountNamespace ? undefined : "is in another mount namespace";
}

/** @throws CliError if the peer is confined, or has ended */
export function refuseConfined(connection: number, { uid }: Pick<Peer, "uid">): void {
  const pidfd = native.peerPidfd(connection);
  let how: string | undefined;
  try {
    const pid = Number(/^Pid:\s*(\d+)$/m.exec(pidfd < 0 ? "" : readFileSync(`/proc/self/fdinfo/${pidfd}`, "latin1"))?.[1] ?? 0);
    how = pid > 0 ? howConfined(pid) : "cannot be seen";
    // Its number may be another process's otherwise.
    if (native.pidfdAlive(pidfd) !== 0) how = "has ended";
  } catch {
    how = "has ended, or cannot be seen";
  } finally {
    if (pidfd >= 0) native.close(pidfd);
  }
  if (how === undefined) return;
  throw unfit(`user ${uid}`, `the process that asks for a mount ${how} (EPERM)`, "mount outside of containers and sandboxes");
}
