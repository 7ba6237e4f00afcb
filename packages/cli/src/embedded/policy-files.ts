/**
 * The mount's end of the pair of sockets by which the decision service gets the files of its policy, which may lie where it
 * cannot reach them. Opens the policy, and what the text of a file that was opened names, and nothing else: the service reads
 * what others wrote, and is not trusted with more. Watches what it opened, and says so before the next question is asked.
 */
import { closeSync, fstatSync, readSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { getSystemErrorName } from "node:util";
import { native, type Poller } from "@sluice/native";
import { FileWatch } from "./file-watch.js";
import { EREMOTE } from "./path-calls.js";
import { openPolicyFile, openToWatch, resolvePolicyFile } from "./open-policy-file.js";
import { ENTRY, type FileReply, type FileRequest, MAX_RECORD_BYTES } from "./policy-file-records.js";

const ROOT = 0;
/** A configuration is no larger, so nothing is named beyond it. */
const MAX_NAMING_BYTES = 4 << 20;
const NO_FDS = new Int32Array(0);

export class PolicyFiles {
  readonly #socket: number;
  readonly #entries: readonly string[];
  /** What the service has asked for since it last began to load a policy. */
  #watches = new Map<string, FileWatch>();
  /** And since it began before: of the policy in force, while the next one is loaded. */
  #watchesBefore = new Map<string, FileWatch>();
  /** The service was told of a change, and whoever keeps answers was not. */
  #untold = false;
  /** Files that were opened, with whose rights they began and ended: whoever owns a file decides what it names. */
  readonly #opened = new Map<string, { from: number; owner: number }>();
  readonly #poller: Poller;
  readonly #bytes = Buffer.alloc(MAX_RECORD_BYTES);

  /** Takes `socket` over. `policyFile`: as the command line names it, a file or a directory with one. */
  constructor(
    socket: number,
    private readonly policyFile: string,
  ) {
    this.#socket = socket;
    this.#entries = [policyFile, join(policyFile, ENTRY)];
    this.#poller = native.poll(socket, (status) => this.#serve(status));
  }

  /**
   * Looks at all of them; true if one may have changed since the last call. The service knows by then, before a question that
   * is asked afterwards.
   */
  touched(): boolean {
    const touched = this.#look() || this.#untold;
    this.#untold = false;
    return touched;
  }

  /** The same for the service alone, which may have nothing to answer just now. */
  hint(): void {
    if (this.#look()) this.#untold = true;
  }

  #look(): boolean {
    let touched = false;
    for (const watch of this.#watches.values()) if (watch.touched()) touched = true;
    for (const [path, watch] of this.#watchesBefore) if (!this.#watches.has(path) && watch.touched()) touched = true;
    // A full queue holds such a record already, and a service that is gone needs none.
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

  /** One record a turn: whoever sends many keeps nobody else waiting. */
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

  /** Before it is opened: a change from here on is one that is seen. */
  #watch(path: string): void {
    if (this.#watches.has(path)) return;
    this.#watches.set(path, this.#watchesBefore.get(path) ?? new FileWatch(path, openToWatch));
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

  /** With whose rights to begin; undefined: neither the command line nor a file names it. */
  #rightsFor(path: string): number | undefined {
    if (this.#entries.includes(path) || path === resolvePolicyFile(join(this.policyFile, ENTRY))) return ROOT;
    for (const [file, { from, owner }] of this.#opened) if (path === file || names(file, from, path)) return path === file ? from : owner;
    return undefined;
  }
}

function failed(id: number, errno: number): FileReply {
  return errno === EREMOTE ? { id, own: true } : { id, error: getSystemErrorName(-errno) };
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
