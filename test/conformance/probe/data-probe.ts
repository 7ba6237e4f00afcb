/** Calls on open files: reading, writing, space, times and modes by descriptor. */
import { native } from "@sluice/native";
import { AT, Attr, type FileOffset, O, RWF } from "@sluice/vfs";
import { NameProbe, statText } from "./name-probe.js";

export class DataProbe extends NameProbe {
  /** The descriptor, or a negative errno; every later call then answers EBADF. */
  open(path: string, flags: number, mode = 0o644): number {
    return this.record(`open ${path} 0${flags.toString(8)}`, native.openat(AT.FDCWD, this.at(path), flags | O.CLOEXEC, mode));
  }

  /** The same file by the descriptor, as open(2) of /proc/self/fd does. */
  reopen(fd: number, flags: number): number {
    return this.record(`reopen 0${flags.toString(8)}`, native.openat(AT.FDCWD, `/proc/self/fd/${fd}`, flags | O.CLOEXEC, 0));
  }

  close(fd: number): void {
    this.record("close", native.close(fd));
  }

  /** The whole content of a small file by its name. */
  read(path: string): void {
    const fd = native.openat(AT.FDCWD, this.at(path), O.RDONLY | O.CLOEXEC | O.NONBLOCK, 0);
    if (fd < 0) {
      this.record(`read ${path}`, fd);
      return;
    }
    const bytes = Buffer.alloc(65_536);
    const length = native.pread(fd, bytes, { offset: 0, length: bytes.length, position: 0 }, 0);
    native.close(fd);
    this.record(`read ${path}`, length, bytes.toString("latin1", 0, Math.max(0, length)));
  }

  pread(fd: number, length: number, position: FileOffset): void {
    const bytes = Buffer.alloc(length);
    const read = native.pread(fd, bytes, { offset: 0, length, position }, 0);
    this.record(`pread ${length} at ${position}`, read, bytes.toString("latin1", 0, Math.max(0, read)));
  }

  pwrite(fd: number, text: string, position: FileOffset): void {
    const bytes = Buffer.from(text, "latin1");
    const range = { offset: 0, length: bytes.length, position };
    this.record(`pwrite ${text.slice(0, 20)} at ${position}`, native.pwrite(fd, bytes, range, 0), "ok");
  }

  /** write(2) at the file's own position, or its end with O_APPEND. */
  write(fd: number, text: string): void {
    const bytes = Buffer.from(text, "latin1");
    this.record(`write ${text.slice(0, 20)}`, native.write(fd, bytes, 0, bytes.length));
  }

  append(fd: number, text: string): void {
    const bytes = Buffer.from(text, "latin1");
    this.record(`append ${text}`, native.pwrite(fd, bytes, { offset: 0, length: bytes.length, position: 0 }, RWF.APPEND));
  }

  fstat(fd: number): void {
    const attr = new Attr();
    this.record("fstat", native.statx(fd, "", AT.EMPTY_PATH, attr.words), statText(attr));
  }

  /** Not recorded, but compared with another result. */
  fino(fd: number): string {
    const attr = new Attr();
    native.statx(fd, "", AT.EMPTY_PATH, attr.words);
    return `${attr.words[1]}:${attr.words[0]}`;
  }

  /** File systems allocate blocks differently: tells only whether a file is smaller on disk than its size. */
  isSparse(path: string): void {
    const attr = new Attr();
    const status = native.statx(AT.FDCWD, this.at(path), AT.SYMLINK_NOFOLLOW, attr.words);
    this.record(`sparse ${path}`, status, attr.blocks * 512 < attr.size);
  }

  ftruncate(fd: number, size: FileOffset): void {
    this.record(`ftruncate ${size}`, native.ftruncate(fd, size));
  }

  fchmod(fd: number, mode: number): void {
    this.record(`fchmod ${mode.toString(8)}`, native.fchmodat(fd, "", mode, AT.EMPTY_PATH));
  }

  fchown(fd: number, uid: number, gid: number): void {
    this.record(`fchown ${uid}:${gid}`, native.fchownat(fd, "", uid, gid, AT.EMPTY_PATH));
  }

  futimes(fd: number, sec: number): void {
    const times = { atimeSec: sec, atimeNsec: 5, mtimeSec: sec, mtimeNsec: 6 };
    this.record(`futimes ${sec}`, native.utimensat(fd, "", times, AT.EMPTY_PATH));
  }

  seek(fd: number, offset: FileOffset, whence: number): void {
    const at = native.lseek(fd, offset, whence);
    this.record(`lseek ${offset} whence ${whence}`, Number(at), at);
  }

  async fallocate(fd: number, mode: number, offset: FileOffset, length: FileOffset): Promise<void> {
    this.record(`fallocate ${mode} ${offset} ${length}`, await native.fallocateAsync(fd, mode, offset, length));
  }

  async copyRange(from: number, at: FileOffset, to: { fd: number; at: FileOffset }, length: number): Promise<void> {
    const copied = await native.copyFileRangeAsync(from, at, to.fd, to.at, length);
    this.record(`copy_file_range ${at} ${to.at} ${length}`, copied, copied);
  }

  async fsync(fd: number, dataOnly = false): Promise<void> {
    this.record(dataOnly ? "fdatasync" : "fsync", await native.fsyncAsync(fd, dataOnly));
  }

  async syncfs(fd: number): Promise<void> {
    this.record("syncfs", await native.syncfsAsync(fd));
  }

  /** Maps a file shared, hands the bytes over, unmaps. */
  mapped(fd: number, length: number, writable: boolean, use: (bytes: Buffer) => void): void {
    // A passthrough reader has the lower file's data, while the size is the upper file's by now: beyond it would be SIGBUS.
    const mapping = native.mapShared(fd, length, writable, !writable);
    if (typeof mapping === "number") {
      this.record("mmap", mapping);
      return;
    }
    use(mapping.bytes);
    this.record("munmap", mapping.unmap());
  }

  flock(fd: number, operation: number): void {
    this.record(`flock ${operation}`, native.flock(fd, operation));
  }

  statfs(path: string): void {
    // O_NONBLOCK: a FIFO has no process at its other end.
    const fd = native.openat(AT.FDCWD, this.at(path), O.RDONLY | O.CLOEXEC | O.NONBLOCK, 0);
    const numbers = new Float64Array(12);
    const status = native.fstatfs(fd, numbers);
    native.close(fd);
    const [, bsize, blocks, , , files, , , , namelen, frsize] = [...numbers];
    this.record(`statfs ${path}`, status, { bsize, blocks, files, namelen, frsize });
  }
}
