/**
 * Unix sockets for gRPC, with the one thing grpc-js does not do: each connection's uid is asked of the kernel
 * (SO_PEERCRED) before a byte is read, and the socket is 0600 from its first moment.
 */
import { statSync, unlinkSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { getSystemErrorName } from "node:util";
import { native, type PeerCredentials } from "@sluice/native";
import { CliError, EXIT, type Logger } from "@sluice/runtime";

const BACKLOG = 128;
const SOCKET_MODE = 0o600;
const EADDRINUSE = 98;

export interface AcceptRules {
  allowedUids: ReadonlySet<number>;
  /** Only this process may connect; undefined: any of these users. */
  onlyPid: number | undefined;
  log: Logger;
  accept(socket: Socket): void;
}

function fdOf(socket: Socket): number {
  return (socket as unknown as { _handle: { fd: number } | null })._handle?.fd ?? -1;
}

function mayAsk({ uid, pid }: PeerCredentials, { allowedUids, onlyPid }: AcceptRules): boolean {
  return allowedUids.has(uid) && (onlyPid === undefined || pid === onlyPid);
}

function admit(socket: Socket, rules: AcceptRules): void {
  // An error before grpc-js listens for it would be an uncaught exception.
  socket.on("error", () => socket.destroy());
  const peer = native.peerCredentials(fdOf(socket));
  if (typeof peer === "number" || !mayAsk(peer, rules)) {
    rules.log.warn({ peer }, "connection refused: its user or process is not allowed to ask");
    socket.destroy();
    return;
  }
  rules.accept(socket);
}

/** Listens on a descriptor that is bound and listening already. `checkPeers`: it is a unix socket. */
export async function listenOnFd(fd: number, rules: AcceptRules): Promise<Server> {
  const server = createServer((socket) => admit(socket, rules));
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => {
      reject(
        new CliError(
          {
            object: `--listen-fd ${fd}`,
            problem: "descriptor is not a listening socket",
            errno: (cause as NodeJS.ErrnoException).code,
            remedy: "pass one that listens",
            exitCode: EXIT.USAGE,
          },
          { cause },
        ),
      );
    });
    server.listen({ fd }, resolve);
  });
  return server;
}

/** Whether somebody answers at the socket: one left behind by a killed service refuses. */
function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", (error: NodeJS.ErrnoException) => resolve(error.code !== "ECONNREFUSED"));
  });
}

async function bind(path: string): Promise<number> {
  let fd = native.unixListen(path, SOCKET_MODE, BACKLOG);
  if (fd === -EADDRINUSE && statSync(path, { throwIfNoEntry: false })?.isSocket() === true && !(await isServed(path))) {
    unlinkSync(path);
    fd = native.unixListen(path, SOCKET_MODE, BACKLOG);
  }
  if (fd >= 0) return fd;
  const inUse = fd === -EADDRINUSE;
  throw new CliError({
    object: `--listen unix://${path}`,
    problem: inUse ? "something is there already" : "socket cannot be made",
    errno: getSystemErrorName(fd),
    remedy: inUse ? "stop the other service or choose another path" : "create its directory and make it writable",
    exitCode: EXIT.USAGE,
  });
}

export interface UnixListener {
  server: Server;
  /** Removes the socket's name, unless somebody has put another there. */
  unlink(): void;
}

/** Throws `CliError`. */
export async function listenOnUnix(path: string, rules: AcceptRules): Promise<UnixListener> {
  const server = await listenOnFd(await bind(path), rules);
  const made = statSync(path);
  return {
    server,
    unlink() {
      const now = statSync(path, { throwIfNoEntry: false });
      if (now?.ino === made.ino && now.dev === made.dev) unlinkSync(path);
    },
  };
}
