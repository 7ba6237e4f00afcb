/** Reads tar archives as bundles are: ustar, with the long names of pax and GNU. Only regular files are taken, links never. */
import { gunzip, gunzipSync } from "node:zlib";

const BLOCK = 512;
const MAX_FILES = 10_000;
const MAX_UNPACKED_BYTES = 64 * 1024 * 1024;
/** zlib comes back to the event loop after each of them: with the default of 16 KiB a busy service took a bundle for many seconds. */
const UNPACKED_AT_ONCE_BYTES = 256 * 1024;
const REGULAR = new Set(["0", "\0", "7"]);

function text(header: Buffer, from: number, length: number): string {
  const field = header.subarray(from, from + length);
  const end = field.indexOf(0);
  return field.subarray(0, end < 0 ? length : end).toString("latin1");
}

function broken(): Error {
  return new Error("the bundle's archive is broken: rebuild it");
}

/** The value of `path` in a pax header: lines of "LENGTH KEY=VALUE\n". */
function paxPath(data: Buffer): string | undefined {
  for (let at = 0; at < data.length; ) {
    const space = data.indexOf(0x20, at);
    const length = Number(data.toString("latin1", at, space));
    if (space < 0 || !Number.isSafeInteger(length) || length <= space - at) throw broken();
    const [key, ...value] = data.toString("latin1", space + 1, at + length - 1).split("=");
    if (key === "path") return value.join("=");
    at += length;
  }
  return undefined;
}

/** Relative, with no way out of the archive. */
function plainName(name: string): string {
  const plain = name.replace(/^(\.?\/)+/, "");
  if (plain.split("/").some((part) => part === ".." || part === "."))
    throw new Error(`the bundle holds a file '${plain.slice(0, 100)}': rebuild it`);
  return plain;
}

/** Name → content of the regular files of an archive. Throws if it is no archive, or has no end: one that was cut off may lack files. */
export function untar(archive: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  let longName: string | undefined;
  for (let at = 0; at + BLOCK <= archive.length; ) {
    const header = archive.subarray(at, at + BLOCK);
    if (header[0] === 0) return files;
    const size = Number.parseInt(text(header, 124, 12).trim(), 8);
    if (!Number.isSafeInteger(size) || size < 0 || at + BLOCK + size > archive.length) throw broken();
    const data = archive.subarray(at + BLOCK, at + BLOCK + size);
    const type = String.fromCharCode(header[156] as number);
    const prefix = text(header, 257, 5) === "ustar" ? text(header, 345, 155) : "";
    if (type === "L") longName = text(data, 0, size);
    else if (type === "x") longName = paxPath(data) ?? longName;
    else {
      const name = longName ?? (prefix === "" ? "" : `${prefix}/`) + text(header, 0, 100);
      longName = undefined;
      if (REGULAR.has(type)) files.set(plainName(name), data);
      if (files.size > MAX_FILES) throw new Error(`the bundle holds more than ${MAX_FILES} files: make it smaller`);
    }
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
  throw broken();
}

export const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

function notUnpacked(error: NodeJS.ErrnoException): Error {
  const large = error.code === "ERR_BUFFER_TOO_LARGE";
  return new Error(
    large ? `the bundle unpacks to more than ${MAX_UNPACKED_BYTES} bytes: make it smaller` : "the bundle is no gzip: rebuild it",
  );
}

/** The content of a gzip, off the event loop. Rejects with the fault and its remedy. */
export function unpack(bytes: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    gunzip(bytes, { maxOutputLength: MAX_UNPACKED_BYTES, chunkSize: UNPACKED_AT_ONCE_BYTES }, (error, unpacked) => {
      if (error === null) resolve(unpacked);
      else reject(notUnpacked(error));
    });
  });
}

/** The same at once, for a thread of its own. */
export function unpackAtOnce(bytes: Uint8Array): Buffer {
  try {
    return gunzipSync(bytes, { maxOutputLength: MAX_UNPACKED_BYTES });
  } catch (error) {
    throw notUnpacked(error as NodeJS.ErrnoException);
  }
}
