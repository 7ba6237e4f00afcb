/**
 * The process for the next mount of an ordinary user. It has started and loaded its code before anybody asks, and waits for a connection. It
 * has nothing of a user until then.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { native, POLL, untilReadable } from "@sluice/native";

/** The command line of a process that begins a mount. It gets the connection over the socket that is its descriptor 3. */
export interface UserProgram {
  file: string;
  argv: readonly string[];
}

const LINK_FD = 3;
/** A process that was started at this moment reads the connection when it has loaded. */
const SEND_MS = 0;

/** Nothing of the service's environment is a user's business. */
function environment(): NodeJS.ProcessEnv {
  const { PATH = "/usr/sbin:/usr/bin:/sbin:/bin", SLUICE_BUNDLE } = process.env;
  // A ring from before a process became another user would keep its rights (CVE-2024-22017).
  return { PATH, UV_USE_IO_URING: "0", ...(SLUICE_BUNDLE === undefined ? {} : { SLUICE_BUNDLE }) };
}

export class SpareProcess {
  readonly #child: ChildProcess;
  readonly #link: number;
  #over = false;

  private constructor(child: ChildProcess, link: number) {
    this.#child = child;
    this.#link = link;
    const end = (): void => {
      this.#over = true;
    };
    child.once("exit", end).once("error", end);
  }

  /** Undefined if the machine, or a limit of this process, has no descriptor or process left for it. */
  static start({ file, argv }: UserProgram): SpareProcess | undefined {
    const pair = new Int32Array(2);
    if (native.seqpacketPair(pair) < 0) return undefined;
    const [ours, theirs] = pair as unknown as [number, number];
    let child: ChildProcess | undefined;
    try {
      child = spawn(file, argv, { cwd: "/", env: environment(), stdio: ["ignore", "pipe", "pipe", theirs], detached: true });
    } catch {
      // It throws if there is no memory, and otherwise tells later.
    }
    native.close(theirs);
    if (child?.pid !== undefined) return new SpareProcess(child, ours);
    child?.once("error", () => undefined);
    native.close(ours);
    return undefined;
  }

  /** It has ended. */
  get over(): boolean {
    return this.#over;
  }

  /** Hands a duplicate of the connection over. Call it once. @returns the process, which may end before it takes it */
  begin(connection: number): ChildProcess {
    native.sendMessage(this.#link, Buffer.from("c"), 1, Int32Array.of(connection), 1, SEND_MS);
    native.close(this.#link);
    return this.#child;
  }

  /** Ends it. Resolves when it has ended. */
  drop(): Promise<void> {
    native.close(this.#link);
    if (this.#over) return Promise.resolve();
    this.#child.kill("SIGKILL");
    return new Promise((resolve) => this.#child.once("close", () => resolve()));
  }
}

/** For that process: somebody waits for it. */
export function isAwaited(): boolean {
  return (native.pollNow(LINK_FD, POLL.IN, 0) & POLL.IN) !== 0;
}

/** For that process: resolves to the connection; to undefined if the service ends before. */
export async function untilConnected(): Promise<number | undefined> {
  const fds = new Int32Array(1);
  await untilReadable(LINK_FD);
  const received = native.receiveMessage(LINK_FD, Buffer.alloc(1), fds, 0);
  native.close(LINK_FD);
  return received > 0 && ((received >>> 16) & 0xffff) === 1 ? fds[0] : undefined;
}
