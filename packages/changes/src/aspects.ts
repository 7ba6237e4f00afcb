/** Compares two objects. Content is compared byte by byte: neither a time nor a size says that it is the same. */
import { type Hit, isDirectory, isRegular, type LayerStack, readTarget } from "@sluice/layer-tools";
import { native } from "@sluice/native";
import { failed } from "@sluice/runtime/cli";
import { Errno, errnoName, S, SEEK } from "@sluice/vfs";
import { sameAttributes } from "./attributes.js";
import type { Aspect, Side } from "./difference.js";

const PIECE_BYTES = 1 << 20;
const pieces = [Buffer.allocUnsafe(PIECE_BYTES), Buffer.allocUnsafe(PIECE_BYTES)] as const;

/** An open file of a layer. */
interface OpenFile {
  place: Hit;
  fd: number;
}

/** Reads until the piece is full, or the file ends. */
function readPiece(stack: LayerStack, { place, fd }: OpenFile, bytes: Buffer, position: number): Buffer {
  let length = 0;
  while (length < bytes.length) {
    const read = native.pread(fd, bytes, { offset: length, length: bytes.length - length, position: position + length }, 0);
    if (read < 0) throw failed(stack.shown(place), `it cannot be read (${errnoName(-read)})`, "check its permissions and its disk");
    if (read === 0) break;
    length += read;
  }
  return bytes.subarray(0, length);
}

/** The position of the next data, or the end of the file. A file system without holes has data everywhere. */
function nextData(fd: number, at: number, size: number): number {
  const data = Number(native.lseek(fd, at, SEEK.DATA));
  if (data === -Errno.ENXIO) return size;
  return data < 0 ? at : Math.min(size, data);
}

/** A network may have to be asked for holes, and few files have any. */
const mayHaveHoles = ({ attr }: Hit): boolean => attr.blocks * 512 < attr.size;

/** Whether the first `size` bytes of two files are the same. */
function sameBytes(stack: LayerStack, one: Hit, other: Hit, size: number): boolean {
  const fds = [one, other].map((place) => ({ place, fd: stack.openData(place) }));
  const skipsHoles = [one, other].every(mayHaveHoles);
  const from = (at: number): number => (skipsHoles ? Math.min(...fds.map(({ fd }) => nextData(fd, at, size))) : at);
  try {
    for (let at = from(0); at < size; at = from(at + PIECE_BYTES)) {
      const length = Math.min(PIECE_BYTES, size - at);
      const [first, second] = fds.map((file, index) => readPiece(stack, file, (pieces[index] as Buffer).subarray(0, length), at));
      if (!(first as Buffer).equals(second as Buffer)) return false;
    }
    return true;
  } finally {
    for (const { fd } of fds) native.close(fd);
  }
}

function sameContent(stack: LayerStack, before: Side, after: Side): boolean {
  const [old, now] = [before.object.attr, after.object.attr];
  if (isDirectory(now)) return true;
  if (isRegular(now)) return old.sizeExact === now.sizeExact && sameBytes(stack, before.data, after.data, now.size);
  if ((now.mode & S.IFMT) === S.IFLNK) return readTarget(stack, before.object) === readTarget(stack, after.object);
  return old.rdev === now.rdev;
}

/** Empty if they are the same, but for their times. */
export function aspectsOf(stack: LayerStack, before: Side, after: Side): Aspect[] {
  if (before.type !== after.type) return ["type"];
  const [old, now] = [before.object.attr, after.object.attr];
  const aspects: Aspect[] = [];
  if (!sameContent(stack, before, after)) aspects.push("content");
  if (after.type !== "symlink" && old.mode !== now.mode) aspects.push("mode");
  if (old.uid !== now.uid || old.gid !== now.gid) aspects.push("owner");
  if (!sameAttributes(stack, before.object, after.object)) aspects.push("attributes");
  return aspects;
}

/** SHA-256 of a file's first `size` bytes. */
export function digestOf(stack: LayerStack, place: Hit, size: number): string {
  const fd = stack.openData(place);
  try {
    const hash = process.getBuiltinModule("node:crypto").createHash("sha256");
    for (let at = 0; at < size; at += PIECE_BYTES) {
      hash.update(readPiece(stack, { place, fd }, pieces[0].subarray(0, Math.min(PIECE_BYTES, size - at)), at));
    }
    return hash.digest("base64");
  } finally {
    native.close(fd);
  }
}

const ZEROES = Buffer.alloc(PIECE_BYTES);

/** A key of a file's first `size` bytes that is the same for a hole and for zeroes: neither is hashed. */
export function contentKeyOf(stack: LayerStack, place: Hit, size: number): string {
  const fd = stack.openData(place);
  const from = (at: number): number => {
    const data = mayHaveHoles(place) ? nextData(fd, at, size) : at;
    return data < size ? data - (data % PIECE_BYTES) : size;
  };
  try {
    const hash = process.getBuiltinModule("node:crypto").createHash("sha256");
    for (let at = from(0); at < size; at = from(at + PIECE_BYTES)) {
      const piece = readPiece(stack, { place, fd }, pieces[0].subarray(0, Math.min(PIECE_BYTES, size - at)), at);
      if (!piece.equals(ZEROES.subarray(0, piece.length))) hash.update(`${at} `).update(piece);
    }
    return `${size} ${hash.digest("base64")}`;
  } finally {
    native.close(fd);
  }
}

/** A file's first `size` bytes. @throws CliError if it is shorter */
export function contentOf(stack: LayerStack, place: Hit, size: number): Buffer {
  const fd = stack.openData(place);
  try {
    const content = readPiece(stack, { place, fd }, Buffer.allocUnsafe(size), 0);
    if (content.length === size) return content;
    throw failed(stack.shown(place), "it became shorter while it was read", "do not change it meanwhile");
  } finally {
    native.close(fd);
  }
}
