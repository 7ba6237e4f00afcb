/**
 * The keeper's own socket, for `sluice upgrade`: one line of JSON in, one out, from root alone. It is not the server's to
 * use: what it names is started with the keeper's privilege.
 */
import { readFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { native, toBytes } from "@sluice/native";
import type { ServerProgram } from "./keeper-config.js";

const BACKLOG = 4;
const MAX_LINE = 16_384;

export interface ControlEvents {
  /** Resolves to what went wrong; to undefined where the program serves. */
  upgrade(program: ServerProgram): Promise<string | undefined>;
  /** The server's own process, which may not ask. */
  serverPid(): number | undefined;
}

/** How many filters of system calls a process is under; it passes them on to all that it starts, and none takes one off. */
function filtersOf(pid: number | "self"): number {
  try {
    return Number(/^Seccomp_filters:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? 0);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** Not the server, which has shut itself in, and nobody whom it has started. */
function mayAsk(socket: Socket, events: ControlEvents): boolean {
  // Node gives no other way to a connected socket's descriptor.
  const fd = (socket as unknown as { _handle?: { fd?: number } })._handle?.fd ?? -1;
  const peer = native.peerCredentials(fd);
  if (typeof peer === "number" || peer.uid !== process.geteuid?.() || peer.pid === events.serverPid()) return false;
  return filtersOf(peer.pid) <= filtersOf("self");
}

/** Undefined where it is no request to upgrade. */
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

/** Undefined where the socket cannot be made: the mount does without. */
export function openControlSocket(path: string, events: ControlEvents): Server | undefined {
  const fd = native.unixListen(toBytes(path), 0o600, BACKLOG);
  if (fd < 0) return undefined;
  const server = createServer((socket) => serve(socket, events));
  server.maxConnections = BACKLOG;
  return server.listen({ fd });
}
