/** The process of the namespaces: it starts at once, and ends with this one. */
import { constants } from "node:os";
import { Socket } from "node:net";
import type { Writable } from "node:stream";
import { check, native, NativeError } from "@sluice/native";
import { EXIT, failed } from "@sluice/runtime/cli";
import { HeardPipe } from "./heard-pipe.js";

/** The terminal sends them to every process of the group. They are the command's alone: the others end when it has ended. */
const OF_TERMINAL = ["SIGINT", "SIGQUIT", "SIGHUP"] as const;
const bitOf = (signal: number): bigint => 1n << BigInt(signal - 1);
const IGNORED = OF_TERMINAL.reduce((mask, name) => mask | bitOf(constants.signals[name]), 0n);

const block = (strings: readonly string[]): Uint8Array => Buffer.from(strings.map((text) => `${text}\0`).join(""));

function pairOfSockets(): [ours: number, theirs: number] {
  const pair = new Int32Array(2);
  check(native.streamPair(pair), "make a pair of sockets");
  return [pair[0] as number, pair[1] as number];
}

/** @throws CliError */
function start([program, ...words]: readonly [string, ...string[]], env: NodeJS.ProcessEnv, files: readonly number[]): number {
  const variables = Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
  const { SIGKILL } = constants.signals;
  const pid = native.spawn(program, block([program, ...words]), block(variables), Int32Array.from(files), IGNORED, SIGKILL);
  if (pid >= 0) return pid;
  const { code } = new NativeError(-pid, "");
  const remedy = code === "E2BIG" ? "shorten the command line, or unset variables" : "see docs/run.md";
  throw failed(program, `the namespaces cannot be started (${code})`, remedy);
}

export class StageProcess {
  readonly pid: number;
  /** Resolves to its exit code, 128 and the number of a signal that ended it. */
  readonly exit: Promise<number>;
  readonly #pidfd: number;
  readonly #pipes = new Map<number, { socket: Socket; heard: HeardPipe }>();
  #over = false;

  /**
   * Its descriptors from 0 on are `files`, or with "pipe" one end of a pipe in both directions.
   * @throws CliError if it cannot be started, and NativeError
   */
  constructor(command: readonly [string, ...string[]], env: NodeJS.ProcessEnv, files: readonly (number | "pipe")[]) {
    const theirs: number[] = [];
    const given = files.map((file, at) => {
      if (file !== "pipe") return file;
      const [ours, far] = pairOfSockets();
      const socket = new Socket({ fd: ours, readable: true, writable: true });
      this.#pipes.set(at, { socket, heard: new HeardPipe(socket) });
      theirs.push(far);
      return far;
    });
    try {
      this.pid = start(command, env, given);
    } catch (error) {
      for (const { socket } of this.#pipes.values()) socket.destroy();
      throw error;
    } finally {
      for (const fd of theirs) native.close(fd);
    }
    this.#pidfd = native.pidfdOpen(this.pid);
    if (this.#pidfd < 0) process.kill(this.pid, "SIGKILL");
    check(this.#pidfd, "watch the process of the namespaces");
    this.exit = new Promise((resolve) => {
      const poller = native.poll(this.#pidfd, () => {
        const code = native.reap(this.pid);
        if (code === -constants.errno.EAGAIN) return;
        poller.close();
        this.#over = true;
        native.close(this.#pidfd);
        resolve(code < 0 ? EXIT.FAILED : code);
      });
    });
  }

  pipe(fd: number): { readonly socket: Writable; readonly heard: HeardPipe } {
    const pipe = this.#pipes.get(fd);
    if (pipe === undefined) throw new RangeError(`descriptor ${fd} is no pipe`);
    return pipe;
  }

  kill(): void {
    if (!this.#over) native.pidfdSendSignal(this.#pidfd, constants.signals.SIGKILL);
  }
}
