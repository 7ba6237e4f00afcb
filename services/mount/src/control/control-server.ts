/** Serves the control socket of a mount to root and the daemon's own user only. The kernel names the peer's user. */
import { rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { isZombie } from "@sluice/keeper-link";
import { native, toBytes } from "@sluice/native";
import { Errno, errnoName } from "@sluice/vfs";
import { failed, removeDeadSocket, unfit, wrong } from "@sluice/runtime/cli";
import {
  type ControlLine,
  type ControlRequest,
  descriptorOf,
  MAX_REQUEST_BYTES,
  MAX_SOCKET_PATH_BYTES,
  ownPath,
  parseRequest,
  peerOf,
} from "@sluice/mount-control";

const EADDRINUSE = 98;
/** Of a file system that has no room. */
const FULL: ReadonlySet<number> = new Set([Errno.ENOSPC, Errno.EDQUOT]);
const BACKLOG = 16;
const MAX_CLIENTS = 64;
/** The server drops a watcher that does not read, so that its events do not fill the memory. */
const MAX_UNREAD_BYTES = 4 << 20;
/** How long the answers under way may take when the server is closed. */
const LAST_ANSWERS_MS = 1_000;
/** The kernel takes 253. */
const FDS_PER_RECORD = 128;

export interface Caller {
  uid: number;
  pid: number;
  send(item: unknown): void;
  /** Sends duplicates of descriptors; to be called before any item. @throws if the caller does not take them */
  pass(fds: readonly number[]): void;
  /** The client is gone. */
  gone: AbortSignal;
}

/** Resolves when the client is gone. */
export function left(gone: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (gone.aborted) resolve();
    else gone.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Sends items; returns when the answer is complete. */
export type ControlHandler = (request: ControlRequest, caller: Caller) => Promise<void>;

function write(socket: Socket, line: ControlLine): void {
  if (socket.destroyed) return;
  socket.write(`${JSON.stringify(line, (_key, value: unknown) => (typeof value === "bigint" ? value.toString() : value))}\n`);
  if (socket.writableLength > MAX_UNREAD_BYTES) socket.destroy();
}

/** Sends records that carry descriptors, small enough for an empty socket to take them at once. */
function pass(socket: Socket, fds: readonly number[]): void {
  for (let at = 0; at < fds.length; at += FDS_PER_RECORD) {
    const some = Int32Array.from(fds.slice(at, at + FDS_PER_RECORD));
    const line = Buffer.from(`${JSON.stringify({ item: { descriptors: some.length } })}\n`);
    const sent = native.sendMessage(descriptorOf(socket), line, line.length, some, some.length, 0);
    if (sent !== line.length) throw new Error(`descriptors cannot be passed (${sent < 0 ? errnoName(-sent) : "EAGAIN"})`);
  }
}

async function answer(socket: Socket, line: string, handler: ControlHandler, caller: Pick<Caller, "uid" | "pid" | "gone">): Promise<void> {
  const request = parseRequest(line);
  if (request === undefined) {
    write(socket, { error: "unknown request" });
  } else {
    try {
      await handler(request, { ...caller, send: (item) => write(socket, { item }), pass: (fds) => pass(socket, fds) });
      write(socket, { done: true });
    } catch (error) {
      write(socket, { error: error instanceof Error ? error.message : String(error) });
    }
  }
  socket.end();
}

function serve(socket: Socket, handler: ControlHandler, answers: Set<Promise<void>>): void {
  const peer = peerOf(socket);
  if (peer === undefined || (peer.uid !== 0 && peer.uid !== process.geteuid?.())) {
    socket.destroy();
    return;
  }
  const gone = new AbortController();
  let text = "";
  const onData = (chunk: string): void => {
    text += chunk;
    const end = text.indexOf("\n");
    if (end < 0 && text.length <= MAX_REQUEST_BYTES) return;
    socket.off("data", onData);
    // Later bytes are read and dropped, so that the server notices the end of the connection.
    socket.resume();
    if (end < 0) socket.destroy();
    else {
      const answering = answer(socket, text.slice(0, end), handler, { uid: peer.uid, pid: peer.pid, gone: gone.signal });
      answers.add(answering);
      void answering.then(() => answers.delete(answering));
    }
  };
  socket.setEncoding("utf8");
  socket.on("data", onData);
  socket.on("error", () => socket.destroy());
  socket.on("close", () => gone.abort());
}

/** How long a process that listens is taken for one that is about to die. */
const DYING_MS = 1_000;

/** Whether a living process listens there. */
function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      const isDead = isZombie(peerOf(socket)?.pid);
      socket.destroy();
      resolve(!isDead);
    });
    socket.once("error", () => resolve(false));
  });
}

/** A server that was killed may take a moment to die. */
async function staysServed(path: string): Promise<boolean> {
  for (const end = Date.now() + DYING_MS; await isServed(path); await sleep(DYING_MS / 20)) if (Date.now() > end) return true;
  return false;
}

/**
 * A listening descriptor at `path`, mode 0600. It replaces a socket file that no living process listens on. `role` and `option` are those of
 * the socket, for errors.
 */
export async function listenAt(path: string, role = "control socket", option = "--control"): Promise<number> {
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    throw wrong(path, `the socket's path is longer than ${MAX_SOCKET_PATH_BYTES} bytes (ENAMETOOLONG)`, `choose a shorter ${option}`);
  }
  let fd = native.unixListen(toBytes(path), 0o600, BACKLOG);
  if (fd === -EADDRINUSE) {
    if (await staysServed(path)) throw unfit(path, `another process listens on this ${role} (EADDRINUSE)`, `choose another ${option}`);
    removeDeadSocket(path, option);
    fd = native.unixListen(toBytes(path), 0o600, BACKLOG);
  }
  if (fd >= 0) return fd;
  const problem = `the ${role} cannot be made (${errnoName(-fd)})`;
  throw FULL.has(-fd) ? failed(path, problem, "free space there, or inodes") : wrong(path, problem, `choose another ${option}`);
}

export interface ControlServer {
  close(): Promise<void>;
}

/** A caller that waits for the end of the mount gets its answer now. */
async function closeServer(server: Server, sockets: Set<Socket>, answers: Set<Promise<void>>): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  await Promise.race([Promise.all(answers), sleep(LAST_ANSWERS_MS, undefined, { ref: false })]);
  for (const socket of sockets) socket.destroySoon();
  await closed;
}

/** @throws CliError if the socket cannot be created */
export async function startControlServer(path: string, handler: ControlHandler): Promise<ControlServer> {
  const fd = await listenAt(path);
  const remove = ownPath(path, (own) => rmSync(own, { force: true }));
  const server = await serveControl(fd, handler);
  return {
    close: async () => {
      await server.close();
      remove();
    },
  };
}

/** The same by a listening socket, which belongs to the server from now on. Its path is somebody else's. */
export async function serveControl(fd: number, handler: ControlHandler): Promise<ControlServer> {
  const sockets = new Set<Socket>();
  const answers = new Set<Promise<void>>();
  const server = createServer((socket) => {
    if (sockets.size >= MAX_CLIENTS) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    serve(socket, handler, answers);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ fd }, () => resolve());
  });
  return { close: () => closeServer(server, sockets, answers) };
}
