/**
 * Mounts for ordinary users, each by processes of its own. This process touches nothing that a user hands over: it asks the kernel about the
 * peer, starts a process with the connection, and passes on its words. So no user can make it wait, nor the mounts that it serves.
 */
import type { ChildProcess } from "node:child_process";
import type { Readable } from "node:stream";
import { native, POLL, type Poller } from "@sluice/native";
import type { Logger } from "@sluice/runtime";
import { CliError, EXIT, errorLine } from "@sluice/runtime/cli";
import { Errno } from "@sluice/vfs";
import { refuseConfined } from "./confined-peer.js";
import { ConnectionCloser } from "./connection-closer.js";
import type { UsersSocket } from "./listen-for-users.js";
import { type Peer, peerOfSocket } from "./peer-of-socket.js";
import { SpareProcess, type UserProgram } from "./spare-process.js";
import { RECORD, TEXT_BYTES } from "./user-records.js";
import { WaitingUsers } from "./waiting-users.js";

/** In all: each mount takes two processes. */
const MOST_MOUNTS = 256;
/**
 * The thread waits while the kernel starts a process, on a busy machine for a tenth of a second. So it rests for a multiple of the time that a
 * connection took: all users together take a tenth of it from the mounts of root, and share it in turns.
 */
const REST_FACTOR = 9;
/** To take a connection costs little, and shows whose it is: nobody waits behind all the connections of another user. */
const ACCEPTED_AT_ONCE = 16;
const MOST_WAITING = { ofUser: 64, ofAll: 512 };
/** While there is no descriptor for a connection. */
const NO_DESCRIPTOR_MS = 100;
/** The limit for a client that sends nothing, or hands over directories that do not answer. */
const BEGIN_LIMIT_MS = 30_000;
/** At the third SIGTERM a keeper kills its server (services/keeper/src/run-keeper.ts), and takes the mount away. */
const ENOUGH_STOPS = 3;
const STOP_PAUSE_MS = 500;
/** A keeper that a directory of the user holds up has no mount. */
const END_LIMIT_MS = 10_000;
const TOO_LATE = `host service: the mount did not serve within ${BEGIN_LIMIT_MS / 1000} s (ETIMEDOUT): see whether a layer or the server hangs`;
const NO_PROCESS =
  "host service: no process can be started (EAGAIN): unmount something, or raise the service's limits (LimitNOFILE=, TasksMax=)";
const TOO_MANY = (uid: number): string =>
  `host service: ${MOST_WAITING.ofUser} requests of user ${uid} wait already (EAGAIN): try again when they are served`;
const LOOK_MS = 200;
/** The start of the next process takes the processors that a mount needs for its own. */
const SPARE_PAUSE_MS = 1_000;
/** A client that reads nothing gets the rest of the words no more. */
const SEND_MS = 0;
const NO_FDS = new Int32Array(0);

class UserMount {
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  readonly #connection: number;
  readonly #closer: ConnectionCloser;
  #look: NodeJS.Timeout | undefined;
  #limit: NodeJS.Timeout | undefined;
  #attached: boolean | undefined;
  #heard = "";
  #stops = 0;
  #isLate = false;
  #over = false;

  constructor(
    connection: number,
    readonly peer: Peer,
    process: SpareProcess,
    closer: ConnectionCloser,
  ) {
    this.#connection = connection;
    this.#closer = closer;
    this.#child = process.begin(connection);
    this.#limit = setTimeout(() => this.#giveUp(), BEGIN_LIMIT_MS);
    this.#look = setInterval(() => this.#lookAtClient(), LOOK_MS);
    (this.#child.stdout as Readable).on("data", (bytes: Buffer) => this.#hear(bytes));
    (this.#child.stderr as Readable).on("data", (bytes: Buffer) => this.#send(RECORD.error, bytes));
    this.ended = new Promise((resolve) => {
      const end = (code: number | null): void => {
        if (!this.#over) this.#end(this.#isLate ? code || 1 : (code ?? 1));
        resolve();
      };
      this.#child.once("close", end);
      this.#child.once("error", () => end(1));
    });
  }

  /** As SIGTERM for a process of its own. */
  stop(): void {
    this.#stops++;
    this.#child.kill("SIGTERM");
  }

  /** The user may have stopped the server when the mount was there already. */
  #giveUp(): void {
    this.#isLate = true;
    this.#send(RECORD.error, Buffer.from(errorLine(TOO_LATE)));
    this.#stopAgain(ENOUGH_STOPS);
  }

  #stopAgain(times: number): void {
    if (times > 0) this.#child.kill("SIGTERM");
    const next = (): void => (times > 0 ? this.#stopAgain(times - 1) : void this.#child.kill("SIGKILL"));
    this.#limit = setTimeout(next, times > 0 ? STOP_PAUSE_MS : END_LIMIT_MS);
  }

  /** The first line says whether the mount ends with the connection; the next one, that it serves. */
  #hear(bytes: Buffer): void {
    if (this.#attached !== undefined) return this.#output(bytes);
    this.#heard += bytes.toString("utf8");
    const end = this.#heard.indexOf("\n");
    if (end < 0) return;
    this.#attached = this.#heard.slice(0, end) === "attached";
    this.#output(Buffer.from(this.#heard.slice(end + 1)));
  }

  #output(bytes: Buffer): void {
    if (bytes.length === 0 || this.#isLate) return;
    clearTimeout(this.#limit);
    this.#limit = undefined;
    this.#send(RECORD.output, bytes);
  }

  #send(kind: string, bytes: Buffer): void {
    for (let at = 0; at < bytes.length && !this.#over; at += TEXT_BYTES) {
      const record = Buffer.concat([Buffer.from(kind), bytes.subarray(at, at + TEXT_BYTES)]);
      native.sendMessage(this.#connection, record, record.length, NO_FDS, 0, SEND_MS);
    }
  }

  /** A client that asks for the end closes its sending side; the second time, or if it dies, its whole connection. */
  #lookAtClient(): void {
    const events = native.pollNow(this.#connection, POLL.RDHUP, 0);
    const gone = (events & (POLL.HUP | POLL.ERR)) !== 0;
    if (events < 0 || !(gone || (events & POLL.RDHUP) !== 0)) return;
    if (this.#attached === false) {
      // The mount goes on without its client.
      if (gone) this.#leaveClient();
      return;
    }
    if (this.#stops === 0) this.stop();
    else if (gone && this.#stops === 1) this.stop();
    if (gone) this.#leaveClient();
  }

  #leaveClient(): void {
    clearInterval(this.#look);
    this.#look = undefined;
  }

  #end(code: number): void {
    this.#send(RECORD.exit, Buffer.from(String(code)));
    this.#over = true;
    clearTimeout(this.#limit);
    this.#leaveClient();
    this.#closer.close(this.#connection);
  }
}

export class UserMounts {
  readonly #mounts = new Set<UserMount>();
  readonly #closer = new ConnectionCloser(() => this.#listen());
  readonly #waiting = new WaitingUsers(MOST_WAITING.ofUser, MOST_WAITING.ofAll);
  #poller: Poller | undefined;
  #rest: NodeJS.Timeout | undefined;
  #ending = false;
  #spare: SpareProcess | undefined;
  #preparing: NodeJS.Timeout | undefined;
  #dropped: Promise<void> | undefined;

  /** `socket` belongs to this from now on. `most`: mounts of each user. */
  constructor(
    private readonly socket: UsersSocket,
    private readonly program: UserProgram,
    private readonly most: number,
    private readonly logger: Logger,
  ) {
    this.#prepareSpare();
    this.#listen();
  }

  get size(): number {
    return this.#mounts.size;
  }

  #listen(): void {
    // It goes on after a close, and after the rest.
    if (this.#ending || this.#rest !== undefined) return;
    if (this.#waiting.size > 0) this.#step();
    else if (!this.#closer.isCrowded) this.#poller ??= native.poll(this.socket.fd, () => this.#step());
  }

  #pause(): void {
    this.#poller?.close();
    this.#poller = undefined;
  }

  #step(): void {
    const fromMs = performance.now();
    const isOut = this.#acceptAll();
    const connection = this.#waiting.next();
    if (connection !== undefined) this.#take(connection);
    this.#pause();
    const restMs = (performance.now() - fromMs) * REST_FACTOR;
    this.#rest = setTimeout(
      () => {
        this.#rest = undefined;
        this.#listen();
      },
      isOut ? Math.max(restMs, NO_DESCRIPTOR_MS) : restMs,
    );
  }

  /** Whether there is no descriptor for another one. */
  #acceptAll(): boolean {
    for (let count = 0; count < ACCEPTED_AT_ONCE && !this.#waiting.isFull && !this.#closer.isCrowded; count++) {
      const fd = native.acceptSocket(this.socket.fd);
      if (fd < 0) return fd !== -Errno.EAGAIN;
      const peer = native.peerCredentials(fd);
      if (typeof peer === "number") this.#closer.close(fd);
      else if (!this.#waiting.add(peer.uid, fd)) this.#refuse(fd, TOO_MANY(peer.uid), EXIT.FAILED);
    }
    return false;
  }

  #take(connection: number): void {
    // Nobody waits for a process, the start of which takes long.
    if ((native.pollNow(connection, 0, 0) & POLL.HUP) !== 0) return this.#closer.close(connection);
    const peer = peerOfSocket(connection);
    const refusal = this.#refusalOf(peer);
    if (peer === undefined || refusal !== undefined) return this.#refuse(connection, `host service: ${refusal}`, EXIT.FAILED);
    try {
      // Here already: in a user namespace one user has many ids, each of which could begin as many mounts.
      refuseConfined(connection, peer);
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      return this.#refuse(connection, error.message, error.exitCode);
    }
    this.#begin(connection, peer);
  }

  /** The problem and its remedy. */
  #refusalOf(peer: Peer | undefined): string | undefined {
    if (peer === undefined) return "the caller is unknown, or has more than 256 groups (EPERM): mount as root";
    if (peer.uid === 0) return "this socket is for ordinary users (EPERM): root uses the other one";
    if (this.#ending) return "the service is ending (ESHUTDOWN): start it again, and mount then";
    const own = [...this.#mounts].filter((mount) => mount.peer.uid === peer.uid).length;
    if (own >= this.most) return `user ${peer.uid} has ${own} mounts already (EMFILE): unmount one`;
    return this.#mounts.size >= MOST_MOUNTS ? `users have ${MOST_MOUNTS} mounts already (EMFILE): unmount one` : undefined;
  }

  #refuse(connection: number, refusal: string, exitCode: number): void {
    for (const text of [`${RECORD.error}${errorLine(refusal)}`, `${RECORD.exit}${exitCode}`]) {
      const record = Buffer.from(text);
      native.sendMessage(connection, record, record.length, NO_FDS, 0, SEND_MS);
    }
    this.#closer.close(connection);
  }

  #begin(fd: number, peer: Peer): void {
    const spare = this.#takeSpare();
    if (spare === undefined) return this.#refuse(fd, NO_PROCESS, EXIT.FAILED);
    const mount = new UserMount(fd, peer, spare, this.#closer);
    this.#mounts.add(mount);
    this.logger.info({ uid: peer.uid, mounts: this.#mounts.size }, "a user begins a mount");
    void mount.ended.then(() => this.#mounts.delete(mount));
  }

  #prepareSpare(): void {
    if (this.#ending || this.#spare?.over === false) return;
    this.#spare = SpareProcess.start(this.program);
  }

  #takeSpare(): SpareProcess | undefined {
    const spare = this.#spare;
    this.#spare = undefined;
    clearTimeout(this.#preparing);
    // Not while the mount begins.
    this.#preparing = setTimeout(() => this.#prepareSpare(), SPARE_PAUSE_MS);
    return spare?.over === false ? spare : SpareProcess.start(this.program);
  }

  /** Ends all: the first call asks each, the second hurries them. */
  stop(): void {
    if (!this.#ending) {
      this.#pause();
      this.socket.close();
    }
    this.#ending = true;
    clearTimeout(this.#preparing);
    clearTimeout(this.#rest);
    for (let waits = this.#waiting.next(); waits !== undefined; waits = this.#waiting.next()) this.#take(waits);
    this.#dropped ??= this.#spare?.drop();
    this.#spare = undefined;
    for (const mount of this.#mounts) mount.stop();
  }

  /** Resolves when no mount is left. */
  async ended(): Promise<void> {
    await Promise.all([this.#dropped, ...[...this.#mounts].map(({ ended }) => ended)]);
  }
}
