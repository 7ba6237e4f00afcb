/**
 * The socket of a host service. Every client makes mounts as root, so the listener asks the kernel about each peer (SO_PEERCRED,
 * SO_PEERGROUPS) before it reads a byte.
 */
import { chmodSync, chownSync, readFileSync, realpathSync, rmSync, statSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { descriptorOf, ownPath, peerOf, RUN_DIRECTORY } from "@sluice/mount-control";
import { AF, native, SOCK } from "@sluice/native";
import type { Logger } from "@sluice/runtime";
import { makeDirectories, unfit, wrong } from "@sluice/runtime/cli";
import { listenAt } from "../control/control-server.js";

/** NGROUPS_MAX is 65,536; the kernel refuses with ERANGE if a peer has more than fit. */
const MAX_GROUPS = 65_536;
/** The id above it stands for none. */
const MAX_GID = 2 ** 32 - 2;
const STICKY = 0o1000;
/** SD_LISTEN_FDS_START. */
const FIRST_PASSED = 3;

/** A listening socket that systemd passed to this process (sd_listen_fds(3)); undefined: none. @throws CliError if it passed another thing */
export function passedSocket(): number | undefined {
  const { LISTEN_PID: pid, LISTEN_FDS: count = "0" } = process.env;
  if (pid !== String(process.pid) || count === "0") return undefined;
  const kind = native.socketKind(FIRST_PASSED);
  const isListener = typeof kind !== "number" && kind.domain === AF.UNIX && kind.type === SOCK.STREAM && kind.listens === 1;
  if (count === "1" && isListener) return FIRST_PASSED;
  const problem = count === "1" ? "the descriptor is no unix stream socket that listens" : `the service takes one socket, not ${count}`;
  throw wrong("LISTEN_FDS", `${problem} (EINVAL)`, "let its socket unit have one ListenStream=, a path");
}

/** The gid of a group by name or number. @throws CliError */
export function gidOf(group: string): number {
  const line = readFileSync("/etc/group", "utf8")
    .split("\n")
    .find((each) => each.startsWith(`${group}:`));
  const gid = Number(line?.split(":")[2] ?? (/^\d+$/.test(group) ? group : NaN));
  if (Number.isInteger(gid) && gid <= MAX_GID) return gid;
  throw wrong("--group", `there is no group "${group}" (ENOENT)`, "name a group of /etc/group, or give its number");
}

const gids = new Uint32Array(MAX_GROUPS);

function isMember(socket: Socket, gid: number): boolean {
  const fd = descriptorOf(socket);
  const peer = native.peerCredentials(fd);
  if (typeof peer !== "number" && peer.gid === gid) return true;
  const count = native.peerGroups(fd, gids);
  return count > 0 && gids.subarray(0, count).includes(gid);
}

/** Only root and this process's own user may; members of the group if there is one. */
function mayConnect(socket: Socket, gid: number | undefined): boolean {
  const uid = peerOf(socket)?.uid;
  if (uid === undefined) return false;
  return uid === 0 || uid === process.geteuid?.() || (gid !== undefined && isMember(socket, gid));
}

/** Nobody but root and this user can put another directory or file in its place. */
function isSafe(path: string): boolean {
  const { uid, mode } = statSync(path);
  const keepsOwners = (mode & STICKY) !== 0;
  return [0, process.geteuid?.()].includes(uid) && ((mode & 0o022) === 0 || keepsOwners);
}

/** The directory of the socket. Whoever may write to it could put a socket of their own in its place. @throws CliError */
function prepareDirectory(path: string, gid: number | undefined): void {
  const directory = dirname(path);
  makeDirectories(directory, gid === undefined ? 0o700 : 0o711);
  const real = realpathSync(directory);
  let safe = (statSync(real).mode & 0o022) === 0;
  for (let at = real; at !== "/"; at = dirname(at)) safe &&= isSafe(at);
  if (!safe)
    throw unfit(
      directory,
      "others than root can write to the directory of the socket (EPERM)",
      "name a socket in a directory of root alone",
    );
  // The directory of mounts' sockets, which a mount may have made for root alone: members of the group pass it, but cannot list it.
  if (gid !== undefined && real === RUN_DIRECTORY) chmodSync(real, 0o711);
}

export interface HostListener {
  /** Takes no further connection. */
  close(): void;
}

/** A listening socket. */
export interface HostSocket {
  fd: number;
  /** Removes its file if this process made it. */
  remove(): void;
}

/** The socket that systemd passed, or a new one at `path`. Members of `gid` may connect. @throws CliError if it cannot be made */
export async function openHostSocket(path: string, gid: number | undefined): Promise<HostSocket & { isPassed: boolean }> {
  const passed = passedSocket();
  if (passed !== undefined) return { fd: passed, remove: () => undefined, isPassed: true };
  prepareDirectory(path, gid);
  const fd = await listenAt(path, "socket of the host service", "--socket");
  if (gid !== undefined) {
    chownSync(path, -1, gid);
    chmodSync(path, 0o660);
  }
  return { fd, remove: ownPath(path, (own) => rmSync(own, { force: true })), isPassed: false };
}

export interface Clients {
  /** Its members may connect. */
  gid: number | undefined;
  logger: Logger;
  /** Takes over each connection. */
  accept(socket: Socket): void;
}

export async function listenForClients({ fd, remove }: HostSocket, { gid, logger, accept }: Clients): Promise<HostListener> {
  const server = createServer((client) => {
    // An error before gRPC listens for it would be an uncaught exception.
    client.on("error", () => client.destroy());
    if (mayConnect(client, gid)) {
      accept(client);
      return;
    }
    logger.warn({ peer: peerOf(client) }, "connection refused: its user may not use the host service");
    client.destroy();
  });
  await listening(server, fd);
  return {
    close: () => {
      remove();
      server.close();
    },
  };
}

function listening(server: Server, fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => reject(wrong(`descriptor ${fd}`, cause.message, "pass a listening unix socket")));
    server.listen({ fd }, resolve);
  });
}
