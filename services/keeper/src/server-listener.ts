/**
 * The listener of a keeper that starts no servers: a socket of mode 0600. It admits only the user that servers run as, as the kernel names
 * the peer. Each server gets the offer. One serves at a time; the others stand by, in the order in which they connected.
 */
import { lchownSync, lstatSync, unlinkSync } from "node:fs";
import { LinkRecord, KeeperRecord } from "@sluice/keeper-link";
import { memoryFileOf, native, POLL, type Poller, SEAL, toBytes } from "@sluice/native";
import { Errno, errnoName, FsError } from "@sluice/vfs";
import { discard } from "./discard.js";
import type { AwaitingConfig } from "./keeper-config.js";

const BACKLOG = 8;
/** Each waiting server costs a descriptor. */
const WAITING_LIMIT = 4;

/** Removes a socket that a dead keeper left. */
function removeStale(path: string): void {
  const probe = native.seqpacketConnect(toBytes(path));
  if (probe >= 0) native.close(probe);
  else if (probe === -Errno.ECONNREFUSED && lstatSync(path).isSocket()) unlinkSync(path);
}

/** Its message goes behind the name of the socket. */
export class ListenError extends Error {
  constructor(errno: number) {
    super(`no keeper can listen there (${errnoName(errno)}): ${remedyOf(errno)}`);
  }
}

/** @throws ListenError */
function listenAt({ socket: path, user }: AwaitingConfig): number {
  let fd = native.seqpacketListen(toBytes(path), 0o600, BACKLOG);
  if (fd === -Errno.EADDRINUSE) {
    removeStale(path);
    fd = native.seqpacketListen(toBytes(path), 0o600, BACKLOG);
  }
  if (fd < 0) throw new ListenError(-fd);
  if (user !== undefined) lchownSync(path, user.uid, user.gid);
  return fd;
}

function remedyOf(errno: number): string {
  if (errno === Errno.EADDRINUSE) return "end the keeper that listens there, or move away what is no socket; or choose another --socket";
  return errno === Errno.ENOENT ? "make its directory first" : "choose another --socket";
}

export class ServerListener {
  readonly #config: AwaitingConfig;
  readonly #fd: number;
  readonly #offer: number;
  readonly #poller: Poller;
  readonly #record = new LinkRecord(1);
  readonly #come: () => void;
  #waiting: number[] = [];

  /** Calls `come` when a server waits. @throws ListenError, FsError */
  constructor(config: AwaitingConfig, come: () => void) {
    this.#config = config;
    this.#come = come;
    this.#offer = memoryFileOf("sluice-config", config.offer);
    if (this.#offer < 0) throw new FsError(-this.#offer, "no memory for the offer to servers: free memory");
    // No server can change the offer for the next one.
    native.addSeals(this.#offer, SEAL.WRITE | SEAL.GROW | SEAL.SHRINK | SEAL.SEAL);
    this.#fd = listenAt(config);
    this.#poller = native.poll(this.#fd, () => this.#accept());
  }

  /** The next server that is still connected; undefined if none waits. The caller owns the socket. */
  next(): number | undefined {
    this.#forgetGone();
    return this.#waiting.shift();
  }

  close(): void {
    this.#poller.close();
    for (const socket of this.#waiting) discard(socket);
    for (const fd of [this.#fd, this.#offer]) discard(fd);
    try {
      unlinkSync(this.#config.socket);
    } catch {
      // Somebody has removed it already.
    }
  }

  #forgetGone(): void {
    this.#waiting = this.#waiting.filter((socket) => {
      const here = (native.pollNow(socket, 0, 0) & (POLL.HUP | POLL.ERR)) === 0;
      if (!here) discard(socket);
      return here;
    });
  }

  #accept(): void {
    for (let socket = native.acceptSocket(this.#fd); socket >= 0; socket = native.acceptSocket(this.#fd)) {
      this.#forgetGone();
      if (this.#waiting.length < WAITING_LIMIT && this.#mayServe(socket) && this.#sendOffer(socket)) this.#waiting.push(socket);
      else discard(socket);
    }
    if (this.#waiting.length > 0) this.#come();
  }

  #mayServe(socket: number): boolean {
    const peer = native.peerCredentials(socket);
    return typeof peer !== "number" && peer.uid === (this.#config.user?.uid ?? process.geteuid?.());
  }

  #sendOffer(socket: number): boolean {
    return this.#record.begin(KeeperRecord.offer, 0, 0n, 0).addFd(this.#offer).send(socket, 0) === 0;
  }
}
