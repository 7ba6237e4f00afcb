/**
 * Where servers come to a keeper that starts none: a socket of mode 0600, and of those who connect only the user whom the
 * kernel names as the one that servers are to run as. Each is told the offer; one serves at a time, the others wait, first
 * come first served, so that one may stand by.
 */
import { lchownSync, lstatSync, unlinkSync } from "node:fs";
import { LinkRecord, KeeperRecord } from "@sluice/keeper-link";
import { native, POLL, type Poller, SEAL, toBytes } from "@sluice/native";
import { Errno, FsError } from "@sluice/vfs";
import { discard } from "./discard.js";
import type { AwaitingConfig } from "./keeper-config.js";
import { memoryOf } from "./server-process.js";

const BACKLOG = 8;
/** Who waits costs a descriptor. */
const WAITING_LIMIT = 4;

/** A socket that a dead keeper left is in nobody's use. */
function removeStale(path: string): void {
  const probe = native.seqpacketConnect(toBytes(path));
  if (probe >= 0) native.close(probe);
  else if (probe === -Errno.ECONNREFUSED && lstatSync(path).isSocket()) unlinkSync(path);
}

/** @throws FsError */
function listenAt({ socket: path, user }: AwaitingConfig): number {
  let fd = native.seqpacketListen(toBytes(path), 0o600, BACKLOG);
  if (fd === -Errno.EADDRINUSE) {
    removeStale(path);
    fd = native.seqpacketListen(toBytes(path), 0o600, BACKLOG);
  }
  if (fd < 0) throw new FsError(-fd, `cannot listen on ${path}: ${remedyOf(-fd)}`);
  if (user !== undefined) lchownSync(path, user.uid, user.gid);
  return fd;
}

function remedyOf(errno: number): string {
  if (errno === Errno.EADDRINUSE) return "another keeper listens there; give --socket another name";
  return errno === Errno.ENOENT ? "make its directory first" : "give --socket another name";
}

export class ServerListener {
  readonly #config: AwaitingConfig;
  readonly #fd: number;
  readonly #offer: number;
  readonly #poller: Poller;
  readonly #record = new LinkRecord(1);
  readonly #come: () => void;
  #waiting: number[] = [];

  /** `come` is called when somebody waits. @throws FsError */
  constructor(config: AwaitingConfig, come: () => void) {
    this.#config = config;
    this.#come = come;
    this.#offer = memoryOf(config.offer);
    if (this.#offer < 0) throw new FsError(-this.#offer, "no memory for what servers are told: free some");
    // No server changes what the next one is told.
    native.addSeals(this.#offer, SEAL.WRITE | SEAL.GROW | SEAL.SHRINK | SEAL.SEAL);
    this.#fd = listenAt(config);
    this.#poller = native.poll(this.#fd, () => this.#accept());
  }

  /** The next one that is still there; undefined where nobody waits. The socket is the caller's. */
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
      // Somebody removed it: then it is in nobody's way.
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
