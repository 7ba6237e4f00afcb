/**
 * The pseudo-terminal of the command. Its far end is the controlling terminal in the sandbox; the near end is this process' alone. So the
 * command can neither type into the caller's terminal, nor change its mode, nor draw on it while a question is shown there.
 */
import { readSync } from "node:fs";
import { ReadStream } from "node:tty";
import { native, NativeError, POLL } from "@sluice/native";
import { lacking } from "@sluice/runtime/cli";

const SIGNALS = { SIGINT: 2, SIGQUIT: 3 } as const;
const CHUNK_BYTES = 64 * 1024;
/** The kernel's buffer of a terminal is smaller. A program outside that has the far end open could write without end. */
const MAX_REST_BYTES = 1024 * 1024;

export class CommandTerminal {
  /**
   * For the standard files of the command. It stays open here: without an open far end libuv takes the first read of the near one for the
   * last, which returns 4 KiB, and the command may have written more.
   */
  readonly far: number;
  readonly #near: number;
  #stream: ReadStream | undefined;
  #show: (output: Buffer) => void = () => undefined;
  readonly #heldBy = new Set<string>();

  /** `mode`: as the caller's terminal has it. @throws CliError, exit code 3 */
  constructor(mode: Uint8Array) {
    const ends = new Int32Array(2);
    const status = native.openPty(ends);
    if (status < 0) {
      const { code } = new NativeError(-status, "make a pseudo-terminal");
      throw lacking("/dev/ptmx", `no pseudo-terminal can be made (${code})`, "mount a devpts file system at /dev/pts");
    }
    this.#near = ends[0] ?? -1;
    this.far = ends[1] ?? -1;
    native.setTerminalMode(this.far, mode, false, false);
  }

  /** The command has the far end. `show` gets all that it writes. */
  attach(show: (output: Buffer) => void): void {
    this.#show = show;
    this.#stream = new ReadStream(this.#near);
    this.#stream.on("error", () => undefined);
    this.#stream.on("data", show);
  }

  resize(size: Uint16Array): void {
    if (this.#isOpen) native.setTerminalSize(this.#near, size);
  }

  /** Keys for the command. @returns whether it takes more at once; otherwise `onTaken` is called when it does */
  type(keys: Buffer, onTaken: () => void): boolean {
    if (this.#stream?.writable !== true || this.#stream.write(keys)) return true;
    this.#stream.once("drain", onTaken);
    return false;
  }

  /** While there is a reason its output waits, and then the command does. */
  hold(reason: "question" | "screen", held: boolean): void {
    if (held) this.#heldBy.add(reason);
    else this.#heldBy.delete(reason);
    if (this.#heldBy.size > 0) this.#stream?.pause();
    else this.#stream?.resume();
  }

  /** As the key does: to the programs in the foreground. */
  signal(signal: keyof typeof SIGNALS): void {
    if (this.#isOpen) native.signalTerminal(this.#near, SIGNALS[signal]);
  }

  hangUp(): void {
    this.#stream?.destroy();
  }

  /** Every program of the session has ended. @returns the output that nobody has read */
  end(): Buffer {
    const rest: Buffer[] = [];
    if (this.#isOpen && this.#stream !== undefined) {
      // Else it gets what is read here, too.
      this.#stream.off("data", this.#show);
      for (let chunk = this.#stream.read() as Buffer | null; chunk !== null; chunk = this.#stream.read() as Buffer | null) rest.push(chunk);
      this.#stream.pause();
      rest.push(...this.#rest());
    }
    if (this.#stream === undefined) native.close(this.#near);
    else this.#stream.destroy();
    native.close(this.far);
    return Buffer.concat(rest);
  }

  /** The output that the kernel still has. A read without a look before it would wait: the far end is open. */
  #rest(): Buffer[] {
    const rest: Buffer[] = [];
    for (let length = 0; length < MAX_REST_BYTES && (native.pollNow(this.#near, POLL.IN, 0) & POLL.IN) !== 0; ) {
      const chunk = Buffer.alloc(CHUNK_BYTES);
      const count = readSync(this.#near, chunk);
      rest.push(chunk.subarray(0, count));
      length += count;
    }
    return rest;
  }

  get #isOpen(): boolean {
    return this.#stream?.destroyed !== true;
  }
}
