/**
 * A server that was started, and has loaded, before its mount and its user are known. It has a link and nothing else until it is assigned: first
 * its user, whom it becomes, and then its mount. If the link closes before, it ends.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { check, memoryFileOf, native } from "@sluice/native";
import { SERVER_FDS, type ServerProgram } from "./keeper-config.js";

/** A server that does not read is not used. */
const SEND_MS = 0;
/** The record whose descriptors are those of a mount. */
const MOUNT = "m";

/** A server's process and our end of its link. */
export interface StartedServer {
  child: ChildProcess;
  link: number;
}

/** With the groups of its own. */
export interface ServerUser {
  uid: number;
  gid: number;
  groups: readonly number[];
}

export interface Assignment {
  /** Passed to it unread. */
  serverConfig: string;
  /** Other descriptors for it. */
  handed?: readonly number[];
}

export class UnassignedServer {
  readonly #started: StartedServer;
  #over = false;
  #taken = false;
  #assigned: StartedServer | undefined;

  /** It is started with the rights of this process. @throws if there is no descriptor for it */
  constructor({ file, argv }: ServerProgram) {
    const pair = new Int32Array(2);
    check(native.seqpacketPair(pair), "make a pair of sockets");
    const [link, theirs] = pair as unknown as [number, number];
    const stdio: (number | "ignore" | "inherit")[] = ["ignore", "inherit", "inherit"];
    stdio[SERVER_FDS.link] = theirs;
    const child = spawn(file, argv, { cwd: "/", stdio, detached: true });
    native.close(theirs);
    this.#started = { child, link };
    const end = (): void => {
      this.#over = true;
    };
    child.once("exit", end).once("error", end);
  }

  /** Names its user, before its mount. Call it once. */
  belongTo(user: ServerUser): void {
    if (!this.#send(JSON.stringify(user), [])) this.drop();
  }

  /** Names its mount: it prepares for that until it is greeted. Call it once. */
  assign({ serverConfig, handed = [] }: Assignment): void {
    const config = memoryFileOf("sluice-config", serverConfig);
    if (config >= 0 && this.#send(MOUNT, [config, ...handed])) this.#assigned = this.#started;
    else this.drop();
    if (config >= 0) native.close(config);
  }

  #send(text: string, fds: readonly number[]): boolean {
    if (this.#over || this.#taken) return false;
    const bytes = Buffer.from(text);
    return native.sendMessage(this.#started.link, bytes, bytes.length, Int32Array.from(fds), fds.length, SEND_MS) >= 0;
  }

  /** After it was assigned. Its link is the caller's then. @returns undefined if it cannot be had */
  take(): StartedServer | undefined {
    if (this.#over || this.#assigned === undefined) {
      this.drop();
      return undefined;
    }
    this.#taken = true;
    return this.#assigned;
  }

  /** Ends it, unless it is taken. */
  drop(): void {
    if (this.#taken) return;
    this.#taken = true;
    native.close(this.#started.link);
    this.#started.child.kill("SIGKILL");
  }
}
