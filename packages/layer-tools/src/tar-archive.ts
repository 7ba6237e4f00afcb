/**
 * Writes a tar stream (POSIX pax) of objects with byte-string names and binary attributes. The libraries for tar take PAX values as text,
 * and capabilities and ACLs are binary.
 */
import { once } from "node:events";
import type { Writable } from "node:stream";

export interface TarEntry {
  /** Below the archive's root, a byte string; directories without their slash. */
  path: string;
  type: "file" | "link" | "symlink" | "character-device" | "block-device" | "directory" | "fifo";
  mode: number;
  uid: number;
  gid: number;
  mtimeSec: number;
  mtimeNsec: number;
  /** A byte string: of a symbolic link as it is, of a hard link below the archive's root. */
  linkTo?: string;
  major?: number;
  minor?: number;
  size?: bigint;
  xattrs?: readonly (readonly [name: string, value: Buffer])[];
}

const MAX_NAME = 100;
const MAX_ID = 0o7777777;
const MAX_TIME = 0o77777777777;
const MAX_SIZE = BigInt(MAX_TIME);
const PLAIN = /^[\x21-\x7e ]*$/;
/** The name in a header if the real name is in the PAX records. */
const PLACEHOLDER = "pax";

/** "LENGTH KEY=VALUE\n", where LENGTH counts itself. */
export function paxRecord(key: string, value: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`, "latin1"), value, Buffer.from("\n")]);
  let length = rest.length + 1;
  while (String(length).length + rest.length > length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

const fits = (name: string): boolean => name.length < MAX_NAME && PLAIN.test(name);

/** Sorted by key, so that the same tree gives the same bytes. */
function paxRecords(entry: TarEntry, name: string): Buffer {
  const records: [string, Buffer][] = [];
  const add = (key: string, value: string): void => void records.push([key, Buffer.from(value, "latin1")]);
  if (entry.gid > MAX_ID) add("gid", String(entry.gid));
  if (entry.linkTo !== undefined && !fits(entry.linkTo)) add("linkpath", entry.linkTo);
  if (entry.mtimeNsec !== 0 || entry.mtimeSec < 0 || entry.mtimeSec > MAX_TIME) add("mtime", decimalTime(entry));
  if (!fits(name)) add("path", name);
  for (const [attribute, value] of entry.xattrs ?? []) records.push([`SCHILY.xattr.${attribute}`, value]);
  if ((entry.size ?? 0n) > MAX_SIZE) add("size", String(entry.size));
  if (entry.uid > MAX_ID) add("uid", String(entry.uid));
  records.sort(([one], [other]) => (one < other ? -1 : 1));
  return Buffer.concat(records.map(([key, value]) => paxRecord(key, value)));
}

/** Seconds since 1970 as a decimal fraction. Nanoseconds count upwards, also before 1970. */
function decimalTime({ mtimeSec, mtimeNsec }: TarEntry): string {
  if (mtimeNsec === 0) return String(mtimeSec);
  if (mtimeSec >= 0) return `${mtimeSec}.${String(mtimeNsec).padStart(9, "0")}`;
  return `-${-mtimeSec - 1}.${String(1_000_000_000 - mtimeNsec).padStart(9, "0")}`;
}

const BLOCK = 512;
const flags: Readonly<Record<TarEntry["type"] | "pax", string>> = {
  file: "0",
  link: "1",
  symlink: "2",
  "character-device": "3",
  "block-device": "4",
  directory: "5",
  fifo: "6",
  pax: "x",
};

interface Header extends Omit<TarEntry, "path" | "type" | "xattrs"> {
  name: string;
  type: TarEntry["type"] | "pax";
}

const octal = (value: number | bigint, digits: number): string => value.toString(8).padStart(digits, "0");

/** One header block of POSIX.1-1988 (ustar). */
function headerBlock(header: Header): Buffer {
  const block = Buffer.alloc(BLOCK);
  const put = (at: number, text: string): void => void block.write(text, at, "latin1");
  const size = header.size ?? 0n;
  put(0, header.name);
  put(100, octal(header.mode & 0o7777, 7));
  put(108, octal(Math.min(header.uid, MAX_ID), 7));
  put(116, octal(Math.min(header.gid, MAX_ID), 7));
  put(124, octal(size > MAX_SIZE ? MAX_SIZE : size, 11));
  put(136, octal(Math.min(Math.max(header.mtimeSec, 0), MAX_TIME), 11));
  put(156, flags[header.type]);
  put(157, header.linkTo ?? "");
  put(257, "ustar\u000000");
  put(329, octal(header.major ?? 0, 7));
  put(337, octal(header.minor ?? 0, 7));
  // The sum of the bytes, with its own eight bytes as spaces.
  const sum = block.reduce((total, byte) => total + byte, 8 * 0x20);
  put(148, `${octal(sum, 6)}\0 `);
  return block;
}

function padding(size: bigint): Buffer {
  return Buffer.alloc(Number((BigInt(BLOCK) - (size % BigInt(BLOCK))) % BigInt(BLOCK)));
}

export class TarArchive {
  readonly #into: Writable;
  readonly #failed: Promise<never>;

  constructor(into: Writable) {
    this.#into = into;
    this.#failed = new Promise((_resolve, reject) => into.once("error", reject));
    this.#failed.catch(() => undefined);
  }

  /** `content` yields exactly as many bytes as the size of the file. */
  async add(entry: TarEntry, content?: AsyncIterable<Buffer>): Promise<void> {
    const name = entry.type === "directory" ? `${entry.path === "" ? "." : entry.path}/` : entry.path;
    const pax = paxRecords(entry, name);
    if (pax.length > 0) await this.#addPax(pax);
    const linkTo = entry.linkTo === undefined || fits(entry.linkTo) ? entry.linkTo : PLACEHOLDER;
    const plain = fits(name) ? name : entry.type === "directory" ? `${PLACEHOLDER}/` : PLACEHOLDER;
    await this.#write(headerBlock({ ...entry, name: plain, ...(linkTo === undefined ? {} : { linkTo }) }));
    if (content === undefined) return;
    for await (const bytes of content) await this.#write(bytes);
    await this.#write(padding(entry.size ?? 0n));
  }

  /** Resolves when everything is written. */
  async end(): Promise<void> {
    await this.#write(Buffer.alloc(2 * BLOCK));
    // Not by a callback of end(), which is called as well if the stream has failed.
    const finished = once(this.#into, "finish");
    this.#into.end();
    await Promise.race([finished, this.#failed]);
  }

  async #addPax(records: Buffer): Promise<void> {
    const size = BigInt(records.length);
    const header: Header = { name: "PaxHeaders/pax", type: "pax", mode: 0o644, uid: 0, gid: 0, mtimeSec: 0, mtimeNsec: 0, size };
    await this.#write(Buffer.concat([headerBlock(header), records, padding(size)]));
  }

  async #write(bytes: Buffer): Promise<void> {
    if (bytes.length === 0 || this.#into.write(bytes)) return;
    await Promise.race([once(this.#into, "drain"), this.#failed]);
  }
}
