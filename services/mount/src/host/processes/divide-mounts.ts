/** The first process of a service: which process gets a connection in plain lines, or a call of Mount by gRPC. */
import type { Socket } from "node:net";
import { descriptorOf } from "@sluice/mount-control";
import { lineReader, type PlainRequest, type PlainResponse } from "@sluice/host-api/plain";
import { status } from "@grpc/grpc-js";
import type { wire } from "@sluice/host-api";
import type { MountCall } from "../host-handlers.js";
import type { HostedMounts } from "../hosted-mounts.js";
import { isWellFormed } from "../plain-clients.js";
import type { Connection, OtherProcesses, OwnMounts } from "./other-processes.js";

const NEWLINE = 0x0a;
const COMING_MS = 10;

type Request = Exclude<PlainRequest, { $case: "stop" }>;

/** Undefined if the line is longer, or asks for no mount: this process answers it then. */
function firstRequest(read: Buffer): Request | undefined {
  const end = read.indexOf(NEWLINE);
  if (end < 0) return undefined;
  try {
    const request: unknown = JSON.parse(read.toString("utf8", 0, end));
    return isWellFormed(request) && request.$case !== "stop" ? request : undefined;
  } catch {
    return undefined;
  }
}

export class Division {
  constructor(
    private readonly mounts: HostedMounts,
    readonly others: OtherProcesses,
  ) {}

  /** Requests that stay here, and are mounts some turns later. */
  #coming = 0;

  readonly #own: OwnMounts = {
    count: () => this.mounts.count + this.#coming,
    coming: () => {
      this.#coming += 1;
      setTimeout(() => (this.#coming -= 1), COMING_MS);
    },
  };

  /** `read`: the bytes that were read of the connection so far. `own` takes a connection that stays here. */
  plain(socket: Socket, read: Buffer, own: (socket: Socket, read: Buffer) => void): void {
    const request = firstRequest(read);
    if (request === undefined || (request.$case === "attach" && this.mounts.at(request.value.mountpoint) !== undefined)) own(socket, read);
    else void this.#divide(socket, { read, request }, own);
  }

  async #divide(
    socket: Socket,
    { read, request }: { read: Buffer; request: Request },
    own: (socket: Socket, read: Buffer) => void,
  ): Promise<void> {
    socket.pause();
    // Node reads on for its own buffer: a request to stop may be in it.
    let all = read;
    const connection: Connection = {
      fd: () => descriptorOf(socket),
      read: () => (all = Buffer.concat([all, (socket.read() as Buffer | null) ?? Buffer.alloc(0)])),
    };
    const passed =
      request.$case === "begin"
        ? await this.others.passNext(this.#own, connection)
        : // The client's mount was taken over by the next process of the one that served it.
          await this.others.passToHolder(request.value.mountpoint, connection);
    if (passed) socket.destroy();
    else if (!socket.destroyed) {
      connection.read();
      own(socket, all);
      socket.resume();
    }
  }

  /**
   * A call that ends once its mount serves. A call that lasts as long as its mount stays here: its connection, which other calls may share,
   * cannot be passed on. @returns false if this process is to make the mount
   */
  async relay(first: wire.MountRequest, call: MountCall): Promise<boolean> {
    const { message } = first;
    if (message?.$case !== "begin" || message.value.attached) return false;
    let isOver = false;
    let leave: () => void = () => (isOver = true);
    call.onEnd(() => leave());
    const socket = await this.others.connectNext(this.#own, `${JSON.stringify(message)}\n`);
    if (socket === undefined) return isOver;
    const read = lineReader((line) => {
      const response = JSON.parse(line) as PlainResponse;
      if (response.$case === "refused") return end(() => call.refuse(response.value, status.INVALID_ARGUMENT));
      call.write({ message: response });
      const over = response.$case === "ended" || response.$case === "mounted";
      if (over) end(() => call.end());
    });
    const end = (last: () => void): void => {
      if (isOver) return;
      isOver = true;
      last();
      socket.destroy();
    };
    socket.on("data", read);
    socket.once("error", () => socket.destroy());
    socket.once("close", () => end(() => call.refuse("the process that makes the mount has ended: try again", status.UNAVAILABLE)));
    leave = () => end(() => undefined);
    if (isOver) socket.destroy();
    return true;
  }
}
