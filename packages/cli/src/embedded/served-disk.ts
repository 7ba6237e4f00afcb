/**
 * The decision service's end: it reads the files of its policy through the mount (policy-files.ts), and caches them until the mount reports
 * a possible change. The mount does so before it asks a question, so each read first takes in waiting records: one system call if there
 * are none.
 */
import { closeSync, fstatSync, readSync } from "node:fs";
import { native, type Poller } from "@sluice/native";
import { type FileStats, OWN_DISK, type PolicyDisk } from "@sluice/policy-backends";
import { type FileReply, type FileRequest, MAX_RECORD_BYTES } from "./policy-file-records.js";

/** The mount does nothing that takes long. */
const PATIENCE_MS = 10_000;
/** The limit of `FileReader`: a larger file is refused by its size alone. */
const MAX_BYTES = 16 * 1024 * 1024;
const NO_FDS = new Int32Array(0);
const DIRECTORY: FileStats = { dev: 0, ino: 0, size: 0, mtimeMs: 0, ctimeMs: 0, isDirectory: () => true };

type Entry =
  | { kind: "own" }
  | { kind: "none"; error: string }
  | { kind: "directory" }
  /** `bytes` are here until they are read; a later read asks again. */
  | { kind: "file"; stats: FileStats; bytes: Buffer | undefined };

function failure(code: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}

function readAll(fd: number): Entry {
  try {
    const stats = fstatSync(fd);
    if (stats.size > MAX_BYTES) return { kind: "file", stats, bytes: undefined };
    const bytes = Buffer.alloc(stats.size);
    let at = 0;
    for (let count = 1; count > 0 && at < bytes.length; at += count) count = readSync(fd, bytes, at, bytes.length - at, at);
    return { kind: "file", stats, bytes: bytes.subarray(0, at) };
  } finally {
    closeSync(fd);
  }
}

export class ServedDisk implements PolicyDisk {
  readonly #socket: number;
  readonly #entries = new Map<string, Entry>();
  readonly #resolved = new Map<string, string>();
  readonly #listeners = new Set<() => void>();
  readonly #bytes = Buffer.alloc(MAX_RECORD_BYTES);
  readonly #fds = new Int32Array(1);
  #poller: Poller | undefined;
  #lastId = 0;
  /** The first load has not begun, and its first file came before it was asked for. */
  #isAhead = false;

  constructor(socket: number) {
    this.#socket = socket;
  }

  stat(path: string): FileStats | undefined {
    const entry = this.#entry(path);
    if (entry.kind === "own") return OWN_DISK.stat(path);
    if (entry.kind === "directory") return DIRECTORY;
    return entry.kind === "file" ? entry.stats : undefined;
  }

  problem(path: string): string | undefined {
    const entry = this.#entry(path);
    return entry.kind === "none" ? entry.error : undefined;
  }

  read(path: string): Buffer {
    let entry = this.#entry(path);
    if (entry.kind === "file" && entry.bytes === undefined) {
      this.#entries.delete(path);
      entry = this.#entry(path);
    }
    if (entry.kind === "own") return OWN_DISK.read(path);
    if (entry.kind === "directory") throw failure("EISDIR", path);
    if (entry.kind === "none") throw failure(entry.error, path);
    const { bytes } = entry;
    if (bytes === undefined) throw failure("EFBIG", path);
    entry.bytes = undefined;
    return bytes;
  }

  resolve(path: string): string {
    this.#takeIn();
    const known = this.#resolved.get(path);
    if (known !== undefined) return known;
    const { own, path: resolved, error = "EIO" } = this.#ask({ resolve: path }).reply;
    if (own === true) return OWN_DISK.resolve(path);
    if (resolved === undefined) throw failure(error, path);
    this.#resolved.set(path, resolved);
    return resolved;
  }

  begin(): void {
    this.#takeIn();
    const isAhead = this.#isAhead;
    this.#isAhead = false;
    // The mount has begun it.
    if (isAhead) return;
    this.#forget();
    this.#send({ id: 0, begin: true });
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
    this.#poller ??= native.poll(this.#socket, (status) => {
      if (status < 0 || !this.#takeIn()) this.#poller?.close();
    });
  }

  close(): void {
    this.#poller?.close();
    native.close(this.#socket);
  }

  #entry(path: string): Entry {
    this.#takeIn();
    let entry = this.#entries.get(path);
    if (entry !== undefined) return entry;
    const { reply, fd } = this.#ask({ open: path });
    if (fd !== undefined) entry = readAll(fd);
    else if (reply.own === true) entry = { kind: "own" };
    else if (reply.directory === true) entry = { kind: "directory" };
    else entry = { kind: "none", error: reply.error ?? "EIO" };
    this.#entries.set(path, entry);
    return entry;
  }

  #forget(): void {
    this.#entries.clear();
    this.#resolved.clear();
  }

  #changed(): void {
    this.#forget();
    // A read in progress notices it by itself; the listeners hear of it afterwards.
    setImmediate(() => {
      for (const listener of this.#listeners) listener();
    });
  }

  /** False if the mount is gone. */
  #takeIn(): boolean {
    for (;;) {
      const got = native.receiveMessage(this.#socket, this.#bytes, this.#fds, 0);
      if (got <= 0) return got !== 0;
      const { reply, fd } = this.#received(got);
      if (reply.ahead !== undefined && fd !== undefined) {
        this.#entries.set(reply.ahead, readAll(fd));
        this.#isAhead = true;
        continue;
      }
      // A late reply to a request that was given up.
      if (fd !== undefined) closeSync(fd);
      this.#changed();
    }
  }

  #received(got: number): { reply: FileReply; fd?: number } {
    const reply = JSON.parse(this.#bytes.toString("utf8", 0, got % 65_536)) as FileReply;
    return Math.floor(got / 65_536) % 65_536 === 1 ? { reply, fd: this.#fds[0] as number } : { reply };
  }

  #send(request: FileRequest): number {
    const bytes = Buffer.from(JSON.stringify(request));
    return native.sendMessage(this.#socket, bytes, bytes.length, NO_FDS, 0, PATIENCE_MS);
  }

  #ask(request: Omit<FileRequest, "id">): { reply: FileReply; fd?: number } {
    const id = ++this.#lastId;
    if (this.#send({ id, ...request }) < 0) return { reply: { id, error: "EPIPE" } };
    for (;;) {
      const got = native.receiveMessage(this.#socket, this.#bytes, this.#fds, PATIENCE_MS);
      if (got <= 0) return { reply: { id, error: got === 0 ? "EPIPE" : "ETIMEDOUT" } };
      const came = this.#received(got);
      const { reply, fd } = came;
      if (reply.id === id) return came;
      // A late reply to a request that was given up.
      if (fd !== undefined) closeSync(fd);
      if (reply.id === 0) this.#changed();
    }
  }
}
