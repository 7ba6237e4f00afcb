/**
 * A server that was started, and has loaded, before its mount and its user are known. It has a link and nothing else until it is assigned;
 * if the link closes before, it ends.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { check, memoryFileOf, native } from "@sluice/native";
import { SERVER_FDS, type ServerProgram } from "./keeper-config.js";

/** A server that does not read is not used. */
const SEND_MS = 0;

/** A server's process and our end of its link. */
export interface StartedServer {
  child: ChildProcess;
  link: number;
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

  /** Names its mount: it prepares for that until it is greeted. Call it once. */
  assign({ serverConfig, handed = [] }: Assignment): void {
    const config = memoryFileOf("sluice-config", serverConfig);
    const fds = [config, ...handed];
    const sent =
      this.#over || config < 0
        ? -1
        : native.sendMessage(this.#started.link, Buffer.from("a"), 1, Int32Array.from(fds), fds.length, SEND_MS);
    if (config >= 0) native.close(config);
    if (sent < 0) this.drop();
    else this.#assigned = this.#started;
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
