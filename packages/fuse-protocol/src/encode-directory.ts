/** A listing's reply: fuse_dirent or fuse_direntplus records in a buffer of the size the kernel asked for. */
import type { DirectoryEntry, DirectoryOut, EntryOut } from "@sluice/vfs";
import { Attr } from "@sluice/vfs";
import { type ByteBuffer, writeLatin1 } from "./byte-buffer.js";
import { encodeEntry } from "./encode-attributes.js";
import { align8, DIRENT_BYTES, ENTRY_OUT_BYTES, OUT_HEADER_BYTES, readId, writeU64 } from "./wire.js";

export class DirectoryEncoder implements DirectoryOut {
  readonly scratch = { nodeId: 0, generation: 0, entryTtlMs: 0, attrTtlMs: 0, attr: new Attr() };
  #buffer: ByteBuffer | undefined;
  #limit = 0;
  #used = 0;

  /** Starts a listing of at most `sizeBytes` behind the reply's header. */
  begin(buffer: ByteBuffer, sizeBytes: number): void {
    this.#buffer = buffer;
    this.#limit = sizeBytes;
    this.#used = 0;
  }

  end(): void {
    this.#buffer = undefined;
    this.#limit = 0;
  }

  get length(): number {
    return this.#used;
  }

  add(entry: DirectoryEntry): boolean {
    const need = align8(DIRENT_BYTES + entry.name.length);
    const buffer = this.#buffer;
    if (buffer === undefined || this.#used + need > this.#limit) return false;
    this.#writeDirent(buffer, OUT_HEADER_BYTES + this.#used, need, entry);
    this.#used += need;
    return true;
  }

  fitsPlus(nameBytes: number): boolean {
    return this.#used + ENTRY_OUT_BYTES + align8(DIRENT_BYTES + nameBytes) <= this.#limit;
  }

  addPlus(entry: DirectoryEntry, found: EntryOut | undefined): boolean {
    const buffer = this.#buffer;
    if (buffer === undefined || !this.fitsPlus(entry.name.length)) return false;
    const at = OUT_HEADER_BYTES + this.#used;
    if (found === undefined) buffer.words.fill(0, at / 4, (at + ENTRY_OUT_BYTES) / 4);
    else encodeEntry(buffer.words, at / 4, found);
    const need = align8(DIRENT_BYTES + entry.name.length);
    this.#writeDirent(buffer, at + ENTRY_OUT_BYTES, need, entry);
    this.#used += ENTRY_OUT_BYTES + need;
    return true;
  }

  /** The padding is cleared before the name is written, so that no bytes of an older reply leak. */
  #writeDirent(buffer: ByteBuffer, at: number, size: number, entry: DirectoryEntry): void {
    const { words } = buffer;
    const word = at / 4;
    words[word] = entry.inoLo;
    words[word + 1] = entry.inoHi;
    writeU64(words, word + 2, entry.offset);
    words[word + 4] = entry.name.length;
    words[word + 5] = entry.type;
    words[word + size / 4 - 2] = size === DIRENT_BYTES ? entry.name.length : 0;
    words[word + size / 4 - 1] = size === DIRENT_BYTES ? entry.type : 0;
    writeLatin1(buffer.bytes, entry.name, at + DIRENT_BYTES);
  }
}

/** Calls `each` for every node whose lookup a READDIRPLUS body of `length` bytes counted, so that the counts can be taken back. */
export function eachListedNode(buffer: ByteBuffer, length: number, each: (node: number) => void): void {
  let at = OUT_HEADER_BYTES;
  while (at + ENTRY_OUT_BYTES + DIRENT_BYTES <= OUT_HEADER_BYTES + length) {
    const node = readId(buffer.words, at / 4);
    if (node > 0) each(node);
    const nameBytes = buffer.words[(at + ENTRY_OUT_BYTES) / 4 + 4] as number;
    at += ENTRY_OUT_BYTES + align8(DIRENT_BYTES + nameBytes);
  }
}
