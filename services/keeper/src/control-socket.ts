/**
 * The keeper's own socket, for `sluice upgrade`: one line of JSON in, one out, for root alone. The server may not use it: the keeper
 * starts the named program with its own privilege.
 */
import { readFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { native, toBytes } from "@sluice/native";
import type { ServerProgram } from "./keeper-config.js";

const BACKLOG = 4;
const MAX_LINE = 16_384;

export interface ControlEvents {
  /** Resolves to the problem, or to undefined if the program serves. */
  upgrade(program: ServerProgram): Promise<string | undefined>;
  /** Whether this process is a server, which may not ask. */
  isServer(pid: number): boolean;
}

/** The number of seccomp filters of a process. Its children inherit them, and nothing removes one. */
function filtersOf(pid: number | "self"): number {
  try {
    return Number(/^Seccomp_filters:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? 0);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** Neither the server, which has confined itself by seccomp, nor a process that it started. */
function mayAsk(socket: Socket, events: ControlEvents): boolean {
  // Node gives no other way to a connected socket's descriptor.
  const fd = (socket as unknown as { _handle?: { fd?: number } })._handle?.fd ?? -1;
  const peer = native.peerCredentials(fd);
  if (typeof peer === "number" || peer.uid !== process.geteuid?.() || events.isServer(peer.pid)) return false;
  return filtersOf(peer.pid) <= filtersOf("self");
}

/** Undefined if it is not a request to upgrade. */
function parse(line: string): ServerProgram | undefined {
  try {
    const { method, file, argv } = JSON.parse(line) as { method?: unknown; file?: unknown; argv?: unknown };
    const fine = method === "upgrade" && typeof file === "string" && Array.isArray(argv) && argv.every((word) => typeof word === "string");
    return fine ? { file, argv } : undefined;
  } catch {
    return undefined;
  }
}

async function answer(socket: Socket, line: string, events: ControlEvents): Promise<void> {
  const program = parse(line);
  const problem = program === undefined ? "unknown request" : await events.upgrade(program);
  const reply = problem === undefined ? [{ item: { upgraded: true } }, { done: true }] : [{ error: problem }];
  if (!socket.destroyed) socket.end(reply.map((each) => `${JSON.stringify(each)}\n`).join(""));
}

function serve(socket: Socket, events: ControlEvents): void {
  socket.on("error", () => socket.destroy());
  if (!mayAsk(socket, events)) {
    socket.destroy();
    return;
  }
  let text = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    const before = text;
    text += chunk;
    const end = text.indexOf("\n");
    if (end >= 0 && !before.includes("\n")) void answer(socket, text.slice(0, end), events);
    else if (text.length > MAX_LINE) socket.destroy();
  });
}

/**
 * `isOfUser`: its directory belongs to the user of the mount, whose commands see by it whether the keeper runs. Their requests are refused like
 * those of the server. @returns undefined if the socket cannot be created: the mount works without it
 */
export function openControlSocket(path: string, isOfUser: boolean, events: ControlEvents): Server | undefined {
  const fd = native.unixListen(toBytes(path), isOfUser ? 0o666 : 0o600, BACKLOG);
  if (fd < 0) return undefined;
  const server = createServer((socket) => serve(socket, events));
  server.maxConnections = BACKLOG;
  return server.listen({ fd });
}
