/** The module and the data in a bundle of OPA (.tar.gz), or a bare module. A bundle that unpacks to too much is refused. */
import { gunzipSync } from "node:zlib";

export interface OpaBundle {
  module: Uint8Array;
  /** JSON. */
  data: string;
}

const MAX_UNPACKED_BYTES = 64 * 1024 * 1024;
const BLOCK = 512;
const GZIP = [0x1f, 0x8b];

/** Name → content of the regular files of a tar archive. Throws where it is none. */
function untar(archive: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  for (let at = 0; at + BLOCK <= archive.length; ) {
    const header = archive.subarray(at, at + BLOCK);
    if (header[0] === 0) break;
    const name = text(header, 0, 100);
    const size = Number.parseInt(text(header, 124, 12).trim(), 8);
    if (!Number.isSafeInteger(size) || size < 0 || at + BLOCK + size > archive.length)
      throw new Error("the bundle's archive is broken: build it anew");
    const type = header[156];
    if (type === 0 || type === 0x30) files.set(name.replace(/^\.?\//, ""), archive.subarray(at + BLOCK, at + BLOCK + size));
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
  return files;
}

function text(header: Buffer, from: number, length: number): string {
  const field = header.subarray(from, from + length);
  const end = field.indexOf(0);
  return field.subarray(0, end < 0 ? length : end).toString("latin1");
}

/** Throws with what is wrong and what to do. */
export function readBundle(bytes: Buffer): OpaBundle {
  if (bytes[0] !== GZIP[0] || bytes[1] !== GZIP[1]) return { module: bytes, data: "{}" };
  let archive: Buffer;
  try {
    archive = gunzipSync(bytes, { maxOutputLength: MAX_UNPACKED_BYTES });
  } catch (error) {
    const large = (error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE";
    throw new Error(
      large ? `the bundle unpacks to more than ${MAX_UNPACKED_BYTES} bytes: make it smaller` : "the bundle is no gzip: build it anew",
    );
  }
  const files = untar(archive);
  const module = files.get("policy.wasm");
  if (module === undefined) throw new Error("the bundle holds no policy.wasm: make it with 'opa build -t wasm'");
  return { module, data: files.get("data.json")?.toString("utf8") ?? "{}" };
}
