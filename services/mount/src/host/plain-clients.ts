/**
 * Connections whose client speaks plain lines of JSON instead of gRPC (packages/host-api/src/plain-call.ts): each is one call of Mount. The
 * listener has asked the kernel about the client already.
 */
import type { Socket } from "node:net";
import { peerOf } from "@sluice/mount-control";
import { lineReader, PLAIN_FIRST_BYTE, type PlainRequest, type PlainResponse } from "@sluice/host-api/plain";
import type { MountCall } from "./host-handlers.js";

type Listener<T> = (value: T) => void;

function isText(value: unknown): value is string {
  return typeof value === "string";
}

/** The client is as good as root: this is about mistakes. */
export function isWellFormed(request: unknown): request is PlainRequest {
  const { $case, value } = (request ?? {}) as { $case?: unknown; value?: Record<string, unknown> };
  if ($case === "stop") return true;
  if ($case === "attach") return isText(value?.["mountpoint"]);
  const { mountpoint, directory, options, attached, abandonedAtEnd, mountNamespace } = value ?? {};
  const hasOptions =
    Array.isArray(options) && options.every((one) => isText(one?.name) && Array.isArray(one.values) && one.values.every(isText));
  const hasFlags = [attached, abandonedAtEnd].every((flag) => typeof flag === "boolean");
  return $case === "begin" && isText(mountpoint) && isText(directory) && hasOptions && hasFlags && typeof mountNamespace === "number";
}

export class PlainCall implements MountCall {
  readonly #socket: Socket;
  #refused = false;
  #take: Listener<{ message: PlainRequest }> = () => undefined;
  #leave: Listener<undefined> = () => undefined;

  constructor(socket: Socket, first: Buffer) {
    this.#socket = socket;
    const read = lineReader((line) => {
      const message: unknown = JSON.parse(line);
      if (!isWellFormed(message)) throw new Error("the message is malformed");
      this.#take({ message });
    });
    const readAll = (chunk: Buffer): void => {
      if (this.#refused) return;
      try {
        read(chunk);
      } catch (error) {
        this.refuse(String(error));
      }
    };
    socket.on("data", readAll);
    socket.once("close", () => this.#leave(undefined));
    // After the call has its listeners.
    setImmediate(() => readAll(first));
  }

  peerPid(): number | undefined {
    return peerOf(this.#socket)?.pid;
  }

  onRequest(take: Listener<{ message: PlainRequest }>): void {
    this.#take = take;
  }

  onEnd(leave: () => void): void {
    this.#leave = leave;
  }

  write({ message }: { message: PlainResponse }): void {
    this.#socket.write(`${JSON.stringify(message)}\n`);
  }

  refuse(details: string): void {
    this.#refused = true;
    this.write({ message: { $case: "refused", value: details } });
    this.end();
  }

  end(): void {
    this.#socket.end();
  }
}

interface Clients {
  /** `read`: the first bytes. */
  plain(socket: Socket, read: Buffer): void;
  grpc(socket: Socket): void;
}

/** Hands a connection to `plain` or to `grpc`, as its first byte says. */
export function divideClients(socket: Socket, { plain, grpc }: Clients): void {
  socket.once("data", (first: Buffer) => {
    if (first[0] === PLAIN_FIRST_BYTE) return plain(socket, first);
    socket.pause();
    socket.unshift(first);
    grpc(socket);
  });
}
