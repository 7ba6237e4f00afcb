/**
 * Notes of directories of an upper layer that a mount opens to its user for the moment of a copy-up, since their mode closes them. A note is a file
 * in the scratch directory of the mount. Whoever uses the layer after a killed mount gives each directory its mode back.
 */
import { StatWord } from "../binding.js";
import { native } from "../native.js";
import { readNames } from "./dirents.js";
import { openBeneath } from "./open-beneath.js";

const O_WRONLY = 1;
const O_CREAT = 0o100;
const O_EXCL = 0o200;
const O_NONBLOCK = 0o4000;
const AT_EMPTY_PATH = 0x1000;

const PREFIX = "opened-";
const FORM = /^(\d+) ([0-7]+) ([\s\S]*)$/;
const MODE_BITS = 0o7777;
const STAT_BLOCK_WORDS = 32;
const words = new Uint32Array(STAT_BLOCK_WORDS);

const inoOf = (stat: Uint32Array): bigint => (BigInt(stat[StatWord.inoHi] as number) << 32n) | BigInt(stat[StatWord.inoLo] as number);

interface OpenedDirectory {
  /** Beneath the root of the upper layer; "" is the root. */
  readonly path: string;
  readonly ino: bigint;
  readonly mode: number;
}

function writeAll(fd: number, bytes: Buffer): number {
  for (let at = 0; at < bytes.length; ) {
    const written = native.write(fd, bytes, at, bytes.length - at);
    if (written < 0) return written;
    at += written;
  }
  return 0;
}

/**
 * Call it before the directory is opened. `name` is of this note alone, and `stat` has the attributes of the directory.
 * @returns 0 or the negative errno
 */
export function noteOpened(scratchFd: number, name: string, { path, stat }: { path: string; stat: Uint32Array }): number {
  const mode = (stat[StatWord.mode] as number) & MODE_BITS;
  const file = PREFIX + name;
  const fd = openBeneath(scratchFd, file, O_WRONLY | O_CREAT | O_EXCL, 0o600);
  if (fd < 0) return fd;
  const status = writeAll(fd, Buffer.from(`${inoOf(stat)} ${mode.toString(8)} ${path}`, "latin1"));
  native.close(fd);
  if (status < 0) native.unlinkat(scratchFd, file, 0);
  return status;
}

/** The directory has its mode again. */
export function forgetOpened(scratchFd: number, name: string): void {
  native.unlinkat(scratchFd, PREFIX + name, 0);
}

function readAll(fd: number): string {
  const bytes = Buffer.alloc(4096);
  let text = "";
  for (;;) {
    const count = native.pread(fd, bytes, { offset: 0, length: bytes.length, position: text.length }, 0);
    if (count <= 0) return text;
    text += bytes.toString("latin1", 0, count);
  }
}

function readNote(scratchFd: number, file: string): OpenedDirectory | undefined {
  const fd = openBeneath(scratchFd, file, O_NONBLOCK, 0);
  if (fd < 0) return undefined;
  const [, ino, mode, path] = FORM.exec(readAll(fd)) ?? [];
  native.close(fd);
  // An incomplete one was written before the directory was opened.
  if (ino === undefined || mode === undefined || path === undefined) return undefined;
  return { path, ino: BigInt(ino), mode: Number.parseInt(mode, 8) };
}

/** Opens a directory of the upper layer by its path alone. @returns a descriptor, or the negative errno */
type OpenUpper = (path: string) => number;

function restore({ path, ino, mode }: OpenedDirectory, open: OpenUpper): void {
  const fd = open(path);
  // It was not in its place yet.
  if (fd < 0) return;
  if (native.statx(fd, "", AT_EMPTY_PATH, words) >= 0 && inoOf(words) === ino) native.fchmodat(fd, "", mode, AT_EMPTY_PATH);
  native.close(fd);
}

/** Gives all directories that a killed mount opened their modes back, and removes the notes. No mount uses the layer. */
export function restoreOpened(scratchFd: number, open: OpenUpper): void {
  const names = readNames(scratchFd);
  const files = typeof names === "number" ? [] : names.filter((name) => name.startsWith(PREFIX));
  const notes = files.flatMap((file) => readNote(scratchFd, file) ?? []);
  // A directory that is closed again hides those in it.
  for (const note of notes.sort((one, other) => other.path.length - one.path.length)) restore(note, open);
  for (const file of files) native.unlinkat(scratchFd, file, 0);
}
