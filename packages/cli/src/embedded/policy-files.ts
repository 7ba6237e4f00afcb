/**
 * The mount's end of the sockets through which the decision service gets the files of its policy, which may be out of its own reach. It opens
 * the policy, and files that an opened file names, and nothing else: the service reads text of other users, so the mount does not trust it
 * with more. It watches the opened files, and reports a change before the next question.
 */
import { closeSync, fstatSync, readSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { getSystemErrorName } from "node:util";
import { native, type Poller } from "@sluice/native";
import { Errno } from "@sluice/vfs";
import { FileWatch } from "./file-watch.js";
import { openPolicyFile, openToWatch, resolvePolicyFile } from "./open-policy-file.js";
import { ENTRY, type FileReply, type FileRequest, MAX_RECORD_BYTES } from "./policy-file-records.js";

const ROOT = 0;
/** The limit of a configuration, so it names no file beyond it. */
const MAX_NAMING_BYTES = 4 << 20;
const NO_FDS = new Int32Array(0);

export class PolicyFiles {
  readonly #socket: number;
  readonly #entries: readonly string[];
  /** The requests since the service last began to load a policy. */
  #watches = new Map<string, FileWatch>();
  /** The requests of the load before: for the policy in force, while the next one loads. */
  #watchesBefore = new Map<string, FileWatch>();
  /** Those of both: they are checked before each open. */
  #checked: readonly FileWatch[] = [];
  /** The service knows of a change, but the cache does not yet. */
  #untold = false;
  /** Opened files, with the users whose rights were used: the owner of a file decides which files it names. */
  readonly #opened = new Map<string, { from: number; owner: number }>();
  readonly #poller: Poller;
  readonly #bytes = Buffer.alloc(MAX_RECORD_BYTES);

  /** Takes `socket` over. `policyFile` is a file, or a directory with one, as on the command line. */
  constructor(
    socket: number,
    private readonly policyFile: string,
  ) {
    this.#socket = socket;
    this.#entries = [policyFile, join(policyFile, ENTRY)];
    this.#poller = native.poll(socket, (status) => this.#serve(status));
  }

  /**
   * Sends the policy file before the service asks for it. A mount service that takes many mounts over has a turn for a question only now and
   * then, and a decision service waits for each answer.
   */
  sendAhead(): void {
    this.#watch(this.policyFile);
    const opened = openPolicyFile(this.policyFile, ROOT);
    if (opened.kind !== "file") return;
    this.#opened.set(this.policyFile, { from: ROOT, owner: opened.owner });
    this.#send({ id: 0, ahead: this.policyFile }, Int32Array.of(opened.fd));
    closeSync(opened.fd);
  }

  /**
   * Checks all files. @returns true if one may have changed since the last call; the service then knows it before a question that is asked
   * afterwards
   */
  touched(): boolean {
    const touched = this.#look() || this.#untold;
    this.#untold = false;
    return touched;
  }

  /** The same, only for the service, which may have no question to answer now. */
  hint(): void {
    if (this.#look()) this.#untold = true;
  }

  #look(): boolean {
    const checked = this.#checked;
    let touched = false;
    for (let at = 0; at < checked.length; at++) if ((checked[at] as FileWatch).touched()) touched = true;
    // A full queue has such a record already, and a dead service needs none.
    if (touched) this.#send({ id: 0 }, NO_FDS);
    return touched;
  }

  directories(): string[] {
    return [...new Set([...this.#watches.keys()].map((path) => dirname(path)))];
  }

  close(): void {
    this.#poller.close();
    native.close(this.#socket);
  }

  #send(reply: FileReply, fds: Int32Array): void {
    const bytes = Buffer.from(JSON.stringify(reply));
    native.sendMessage(this.#socket, bytes, bytes.length, fds, fds.length, 0);
  }

  /** Takes one record per turn, so that many records delay nobody else. */
  #serve(status: number): void {
    const got = status < 0 ? 0 : native.receiveMessage(this.#socket, this.#bytes, NO_FDS, 0);
    if (got === 0) this.#poller.close();
    if (got <= 0) return;
    const request = parsed(this.#bytes.toString("utf8", 0, got % 65_536));
    if (request !== undefined) this.#answer(request);
  }

  #answer({ id, begin, open, resolve }: FileRequest): void {
    if (begin === true) {
      this.#watchesBefore = this.#watches;
      this.#watches = new Map();
      this.#checked = [...this.#watchesBefore.values()];
      this.#opened.clear();
      return;
    }
    if (open !== undefined) this.#open(id, open);
    else if (resolve === join(this.policyFile, ENTRY)) {
      this.#watch(resolve);
      // Of a link to a directory that is put in its place, although the file in it may be the same.
      this.#watch(this.policyFile);
      const path = resolvePolicyFile(resolve);
      this.#send(path === "" ? { id, own: true } : { id, path }, NO_FDS);
    } else this.#send({ id, own: true }, NO_FDS);
  }

  /** Called before the file is opened, so that every later change is noticed. */
  #watch(path: string): void {
    if (this.#watches.has(path)) return;
    this.#watches.set(path, this.#watchesBefore.get(path) ?? new FileWatch(path, openToWatch));
    this.#checked = [...new Set([...this.#watches.values(), ...this.#watchesBefore.values()])];
  }

  #open(id: number, path: string): void {
    const from = this.#rightsFor(path);
    if (from === undefined) {
      this.#send({ id, own: true }, NO_FDS);
      return;
    }
    this.#watch(path);
    const opened = openPolicyFile(path, from);
    if (opened.kind === "failed") this.#send(failed(id, opened.errno), NO_FDS);
    if (opened.kind === "directory") this.#send({ id, directory: true }, NO_FDS);
    if (opened.kind !== "file") return;
    this.#opened.set(path, { from, owner: opened.owner });
    this.#send({ id }, Int32Array.of(opened.fd));
    closeSync(opened.fd);
  }

  /** The user whose rights to begin with; undefined if neither the command line nor a file names the path. */
  #rightsFor(path: string): number | undefined {
    if (this.#entries.includes(path) || path === resolvePolicyFile(join(this.policyFile, ENTRY))) return ROOT;
    for (const [file, { from, owner }] of this.#opened) if (path === file || names(file, from, path)) return path === file ? from : owner;
    return undefined;
  }
}

function failed(id: number, errno: number): FileReply {
  return errno === Errno.EREMOTE ? { id, own: true } : { id, error: getSystemErrorName(-errno) };
}

function parsed(text: string): FileRequest | undefined {
  try {
    return JSON.parse(text) as FileRequest;
  } catch {
    return undefined; // the service is broken: it waits in vain
  }
}

function names(file: string, from: number, path: string): boolean {
  const opened = openPolicyFile(file, from);
  if (opened.kind !== "file") return false;
  try {
    const bytes = Buffer.alloc(Math.min(fstatSync(opened.fd).size, MAX_NAMING_BYTES));
    const text = bytes.toString("utf8", 0, readSync(opened.fd, bytes, 0, bytes.length, 0));
    return text.includes(path) || text.includes(relative(dirname(file), path));
  } finally {
    closeSync(opened.fd);
  }
}
