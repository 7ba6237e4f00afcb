/**
 * The decision log in a file. A file that grows too large or too old is put aside: FILE.1 is the newest of those. A device or a pipe is
 * never put aside: a file would take its place.
 */
import { open, type FileHandle, rename, rm, stat } from "node:fs/promises";
import { closeSync, constants, openSync } from "node:fs";
import type { LogEntry, LogSink } from "./log-sink.js";

export interface FileSinkOptions {
  path: string;
  /** undefined: it grows as it will. */
  maxSizeBytes: number | undefined;
  maxAgeMs: number | undefined;
  /** The number of rotated files that stay. */
  keep: number;
}

const MODE = 0o640;

export class FileSink implements LogSink {
  readonly name = "file";
  private handle: FileHandle | undefined;
  private sizeBytes = 0;
  private sinceMs = 0;
  private isFile = false;

  /** Throws if the file cannot be opened, such as a named pipe that nobody reads. */
  constructor(private readonly options: FileSinkOptions) {
    const { O_WRONLY, O_APPEND, O_CREAT, O_NONBLOCK } = constants;
    closeSync(openSync(options.path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, MODE));
  }

  async write(lines: readonly LogEntry[]): Promise<void> {
    const bytes = Buffer.from(`${lines.map(({ text }) => text).join("\n")}\n`);
    this.handle ??= await this.open();
    if (this.isDue(bytes.length)) {
      await this.putAside();
      this.handle = await this.open();
    }
    const before = this.sizeBytes;
    try {
      await this.handle.appendFile(bytes);
      this.sizeBytes = before + bytes.length;
    } catch (error) {
      // A line that got there must not stand there twice.
      await this.handle.truncate(before).catch(() => undefined);
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.handle?.close();
    this.handle = undefined;
  }

  private async open(): Promise<FileHandle> {
    const handle = await open(this.options.path, "a", MODE);
    const stats = await handle.stat();
    const { size, birthtimeMs } = stats;
    this.isFile = stats.isFile();
    this.sizeBytes = size;
    // Of a file that was there before: it is as old as it is.
    this.sinceMs = size === 0 ? Date.now() : birthtimeMs;
    return handle;
  }

  private isDue(moreBytes: number): boolean {
    const { maxSizeBytes, maxAgeMs } = this.options;
    if (this.sizeBytes === 0 || !this.isFile) return false;
    if (maxSizeBytes !== undefined && this.sizeBytes + moreBytes > maxSizeBytes) return true;
    return maxAgeMs !== undefined && Date.now() - this.sinceMs > maxAgeMs;
  }

  private async putAside(): Promise<void> {
    const { path, keep } = this.options;
    await this.close();
    if (keep === 0) {
      await rm(path, { force: true });
      return;
    }
    for (let n = keep; n > 1; n--) {
      const there = await stat(`${path}.${n - 1}`).catch(() => undefined);
      if (there !== undefined) await rename(`${path}.${n - 1}`, `${path}.${n}`);
    }
    await rename(path, `${path}.1`);
  }
}
