/**
 * Writes the record. Nothing is synced: a killed process loses no line, and an object whose line a crash of the machine lost is judged by
 * its times. A line without a content is no failure either: then nothing can be merged.
 */
import { native, randomBytes } from "@sluice/native";
import { andThen, AT, Attr, type ByteName, Errno, O, type Status } from "@sluice/vfs";
import { type BaseEntry, CONTENTS, digestOf, ENTRIES, entryOf, identityIn, MAX_COPIED_BYTES, type SharedName } from "./entry.js";

/** So much is read on the event loop; it was just copied from the page cache. */
const MAX_AT_ONCE_BYTES = 128 << 10;

function openOwn(directory: number, name: string, flags: number): number {
  return native.openat(directory, name, flags | O.CREAT | O.NOFOLLOW | O.CLOEXEC, 0o600);
}

export class BaseRecorder {
  #directory: number;
  #entries: number;
  #contents: number;
  readonly #now = new Attr();
  #end: number;
  #clones = true;

  /** Takes over the descriptor. It throws the negative errno as a RangeError if the files cannot be opened. */
  constructor(directory: number) {
    this.#directory = directory;
    this.#entries = openOwn(directory, ENTRIES, O.WRONLY | O.APPEND);
    this.#contents = this.#entries < 0 ? this.#entries : openOwn(directory, CONTENTS, O.RDWR);
    const found = this.#contents < 0 ? this.#contents : native.statx(this.#contents, "", AT.EMPTY_PATH, this.#now.words);
    if (found < 0) {
      this.close();
      throw new RangeError(String(found));
    }
    this.#end = this.#now.size;
  }

  /** An object without bytes, or one whose bytes are not wanted. 0 or a positive errno. */
  note(path: ByteName, attr: Attr, target?: string): number {
    return this.#write(target === undefined ? entryOf(path, attr) : { ...entryOf(path, attr), target });
  }

  /** Another name of a file that has an entry. Its content is found only if that entry is in this record. 0 or a positive errno. */
  noteName(path: ByteName, entry: BaseEntry): number {
    return this.#write({ ...entry, path });
  }

  /** A name of a file with several names, which is changed by another one. 0 or a positive errno. */
  noteShared(path: ByteName): number {
    return this.#write({ path, shared: true });
  }

  /** `source` is open for reading, and `attr` are the attributes that it had before it was copied. 0 or a positive errno. */
  noteFile(path: ByteName, attr: Attr, source: number): Status {
    const { size } = attr;
    const entry = entryOf(path, attr);
    if (size > MAX_COPIED_BYTES) return this.#write({ ...entry, ...this.#clone(source, entry) });
    const bytes = Buffer.allocUnsafe(size);
    const range = { offset: 0, length: size, position: 0 };
    const read = size <= MAX_AT_ONCE_BYTES ? native.pread(source, bytes, range, 0) : native.preadAsync(source, bytes, range, 0);
    return andThen(read, (length) =>
      this.#write(length === size && this.#isSame(source, entry) ? { ...entry, ...this.#keep(bytes) } : entry),
    );
  }

  /** Somebody may have changed the file meanwhile. */
  #isSame(source: number, { identity }: BaseEntry): boolean {
    return native.statx(source, "", AT.EMPTY_PATH, this.#now.words) >= 0 && identityIn(this.#now) === identity;
  }

  #keep(bytes: Buffer): Pick<BaseEntry, "content"> {
    const at = this.#end;
    if (native.pwrite(this.#contents, bytes, { offset: 0, length: bytes.length, position: at }, 0) !== bytes.length) return {};
    this.#end += bytes.length;
    return { content: { at, digest: digestOf(bytes) } };
  }

  #clone(source: number, entry: BaseEntry): Pick<BaseEntry, "clone"> {
    const clone = randomBytes(8).toString("hex");
    const target = this.#clones ? openOwn(this.#directory, clone, O.WRONLY | O.EXCL) : -Errno.EOPNOTSUPP;
    if (target < 0) return {};
    const status = native.ficlone(target, source);
    native.close(target);
    if (status >= 0 && this.#isSame(source, entry)) return { clone };
    native.unlinkat(this.#directory, clone, 0);
    // The two lie on different file systems, or on one without reflinks.
    this.#clones = status >= 0;
    return {};
  }

  #write(entry: BaseEntry | SharedName): number {
    const bytes = Buffer.from(`\n${JSON.stringify(entry)}`);
    const written = native.write(this.#entries, bytes, 0, bytes.length);
    if (written < 0) return -written;
    return written === bytes.length ? 0 : Errno.ENOSPC;
  }

  /** Writes where `next` does from now on, which becomes unusable, and nothing more in its own directory. Nothing is being written. */
  continueIn(next: BaseRecorder): void {
    this.close();
    this.#directory = next.#directory;
    this.#entries = next.#entries;
    this.#contents = next.#contents;
    this.#end = next.#end;
    this.#clones = next.#clones;
  }

  close(): void {
    for (const fd of [this.#directory, this.#entries, this.#contents]) if (fd >= 0) native.close(fd);
    this.#directory = this.#entries = this.#contents = -1;
  }
}
