/** The first process of a service: which process gets a connection in plain lines, or a call of Mount by gRPC. */
import type { Socket } from "node:net";
import { descriptorOf } from "@sluice/mount-control";
import { lineReader, type PlainRequest, type PlainResponse } from "@sluice/host-api/plain";
import { status } from "@grpc/grpc-js";
import type { wire } from "@sluice/host-api";
import type { MountCall } from "../host-handlers.js";
import type { HostedMounts } from "../hosted-mounts.js";
import { isWellFormed } from "../plain-clients.js";
import type { OtherProcesses } from "./other-processes.js";

const NEWLINE = 0x0a;

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

  /** `read`: the bytes that were read of the connection so far. `own` takes a connection that stays here. */
  plain(socket: Socket, read: Buffer, own: (socket: Socket, read: Buffer) => void): void {
    const request = firstRequest(read);
    if (request?.$case === "begin" && this.others.passNext(this.mounts.all().length, descriptorOf(socket), read)) socket.destroy();
    else if (request?.$case === "attach" && this.mounts.at(request.value.mountpoint) === undefined)
      void this.#attach(socket, { read, mountpoint: request.value.mountpoint }, own);
    else own(socket, read);
  }

  /** The client's mount was taken over by the next process of the one that served it. */
  async #attach(
    socket: Socket,
    { read, mountpoint }: { read: Buffer; mountpoint: string },
    own: (socket: Socket, read: Buffer) => void,
  ): Promise<void> {
    socket.pause();
    if (await this.others.passToHolder(mountpoint, descriptorOf(socket), read)) {
      socket.destroy();
      return;
    }
    own(socket, read);
    socket.resume();
  }

  /**
   * A call that ends once its mount serves. A call that lasts as long as its mount stays here: its connection, which other calls may share,
   * cannot be passed on. @returns false if this process is to make the mount
   */
  relay(first: wire.MountRequest, call: MountCall): boolean {
    const { message } = first;
    if (message?.$case !== "begin" || message.value.attached) return false;
    const socket = this.others.connectNext(this.mounts.all().length, `${JSON.stringify(message)}\n`);
    if (socket === undefined) return false;
    let isOver = false;
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
    call.onEnd(() => end(() => undefined));
    return true;
  }
}
