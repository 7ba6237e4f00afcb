/**
 * The keeper's end of a socket to a server. It treats the server as hostile: it waits for nothing, gives signals and timers their turn,
 * closes descriptors in the background, and ends a channel whose server does not read its answers.
 */
import { HEADER_BYTES, LinkRecord, STORED_PER_RECORD } from "@sluice/keeper-link";
import { native, type Poller } from "@sluice/native";
import { Errno } from "@sluice/vfs";
import { discard, discardsCrowd } from "./discard.js";

/** Signals and timers get their turn even if a server floods the keeper. */
const RECORDS_PER_TURN = 64;
/** Answers that a server may leave unread, beyond those that the socket holds. */
const UNREAD_LIMIT = 1024;
const UNREAD_POLL_MS = 2;
/** As many as one record can carry. The kernel closes descriptors without room in place, and the keeper would wait for that. */
const FD_ROOM = 253;
/** A server whose descriptors cannot be closed for this long means harm. */
const CROWD_LIMIT_MS = 10_000;
const CROWD_POLL_MS = 5;

export interface ChannelEvents {
  /** Gets each record of at least HEADER_BYTES. It takes the descriptors over. */
  take(record: LinkRecord): void;
  /** The server closed its end. */
  lost(): void;
  /** It does not read its answers, or sends descriptors that cannot be closed. */
  stuck(): void;
}

export function discardFds(record: LinkRecord): void {
  for (let at = 0; at < record.fdCount; at++) discard(record.fds[at] as number);
}

export class RecordChannel {
  readonly #socket: number;
  readonly #events: ChannelEvents;
  readonly #request = new LinkRecord(FD_ROOM);
  readonly #answer = new LinkRecord(STORED_PER_RECORD);
  #poller: Poller | undefined;
  #crowded: NodeJS.Timeout | undefined;
  /** Records that the socket had no room for, in order. */
  readonly #unsent: { send: () => number; done: () => void }[] = [];
  /** Called once no record is left unread. */
  readonly #whenRead: (() => void)[] = [];
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  /** It owns the socket. */
  constructor(socket: number, events: ChannelEvents) {
    this.#socket = socket;
    this.#events = events;
    this.#poll();
  }

  #poll(): void {
    this.#poller = native.poll(this.#socket, (status) => {
      this.#readable();
      // An error, which the socket tells once, has stopped the poller.
      if (status >= 0 || this.#poller === undefined) return;
      this.#poller.close();
      this.#poll();
    });
  }

  /** `fill` writes the record, again if the socket has no room for it yet. `done`: it needs its descriptors no more. */
  tell(fill: (out: LinkRecord) => void, done: () => void = () => undefined): void {
    // The number may belong to another descriptor by now.
    if (this.#closed) return done();
    const send = (): number => {
      fill(this.#answer);
      return this.#answer.send(this.#socket, 0);
    };
    if (this.#unsent.length > 0 || send() === -Errno.EAGAIN) this.#later(send, done);
    else done();
  }

  /** Resolves once it has taken all records that have come, or is closed. */
  read(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closed) return resolve();
      this.#whenRead.push(resolve);
      // Without a poller it waits for room.
      if (this.#poller !== undefined) this.#readable();
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#crowded);
    this.#poller?.close();
    this.#poller = undefined;
    for (const { done } of this.#unsent.splice(0)) done();
    // Together with all records that were sent and not read.
    discard(this.#socket);
    this.#allRead();
  }

  #allRead(): void {
    for (const resolve of this.#whenRead.splice(0)) resolve();
  }

  #later(send: () => number, done: () => void): void {
    this.#unsent.push({ send, done });
    if (this.#unsent.length > UNREAD_LIMIT) return this.#giveUp();
    this.#retry ??= setTimeout(() => this.#sendUnsent(), UNREAD_POLL_MS);
  }

  #sendUnsent(): void {
    this.#retry = undefined;
    if (this.#closed) return;
    while (this.#unsent.length > 0 && this.#unsent[0]?.send() !== -Errno.EAGAIN) this.#unsent.shift()?.done();
    if (this.#unsent.length > 0) this.#retry = setTimeout(() => this.#sendUnsent(), UNREAD_POLL_MS);
  }

  #giveUp(): void {
    this.close();
    this.#events.stuck();
  }

  /** Reads nothing until earlier descriptors are closed. */
  #waitForRoom(sinceMs: number): void {
    this.#poller?.close();
    this.#poller = undefined;
    this.#crowded = setTimeout(() => {
      if (!discardsCrowd()) this.#poll();
      else if (Date.now() - sinceMs > CROWD_LIMIT_MS) this.#giveUp();
      else this.#waitForRoom(sinceMs);
    }, CROWD_POLL_MS);
  }

  #readable(): void {
    for (let count = 0; count < RECORDS_PER_TURN && !this.#closed; count++) {
      if (discardsCrowd()) return this.#waitForRoom(Date.now());
      const came = this.#request.receive(this.#socket, 0);
      if (came === -Errno.EAGAIN) return this.#allRead();
      // The server ended before it read an answer. The kernel says so once, before it gives the records that the server had sent.
      if (came === -Errno.ECONNRESET) continue;
      // The record is too large: it is dropped, with its descriptors.
      if (came === -Errno.EMSGSIZE) {
        discardFds(this.#request);
        continue;
      }
      if (came !== 1) {
        this.close();
        this.#events.lost();
        return;
      }
      if (this.#request.length < HEADER_BYTES) discardFds(this.#request);
      else this.#events.take(this.#request);
    }
  }
}
