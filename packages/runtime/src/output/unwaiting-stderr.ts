/**
 * Standard error for processes that others wait for: a write waits for nobody. A terminal that is stopped by Ctrl-S, or a pipe whose reader is busy,
 * would stop the event loop, and everybody who uses a mount.
 */
import { constants, fstatSync, openSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { isatty } from "node:tty";

const STDERR = 2;
/** So many bytes wait for room. Further text is lost. */
const MAX_WAITING_BYTES = 64 << 10;
const LOOK_AGAIN_MS = 500;
const LAST_LOOK_MS = 20;

let stderr: number | undefined;

/** Opened again, so that others of the same pipe keep their way of writing. */
export function unwaitingStderr(): number {
  if (stderr !== undefined) return stderr;
  stderr = STDERR;
  const { O_WRONLY, O_APPEND, O_NONBLOCK, O_NOCTTY } = constants;
  try {
    if (isatty(STDERR) || fstatSync(STDERR).isFIFO())
      stderr = openSync(`/proc/self/fd/${STDERR}`, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY);
  } catch {
    // Such as a terminal of another user, or a pipe without a reader.
  }
  return stderr;
}

let waiting = Buffer.alloc(0);
let timer: NodeJS.Timeout | undefined;

function flush(): void {
  timer = undefined;
  try {
    while (waiting.length > 0) waiting = waiting.subarray(writeSync(unwaitingStderr(), waiting));
  } catch (error) {
    // Nobody can read it any more, or the disk is full.
    if ((error as NodeJS.ErrnoException).code !== "EAGAIN") waiting = Buffer.alloc(0);
    else timer = setTimeout(flush, LOOK_AGAIN_MS).unref();
  }
}

function add(bytes: Buffer): void {
  waiting = Buffer.concat([waiting, bytes]);
  clearTimeout(timer);
  flush();
}

/** Writes in the order of the calls. */
export function tellStderr(text: string): void {
  const bytes = Buffer.from(text);
  if (waiting.length + bytes.length <= MAX_WAITING_BYTES) add(bytes);
}

/** The last words of a process that ends, of any length: they wait a moment for room. */
export async function tellStderrLast(text: string, limitMs: number): Promise<void> {
  add(Buffer.from(text));
  for (const untilMs = Date.now() + limitMs; waiting.length > 0 && Date.now() < untilMs; flush()) await sleep(LAST_LOOK_MS);
}
