/**
 * Answers that hold until they are revoked, in a file of JSON lines: an answer adds a line, and so does its revocation. Several services
 * may share the file, so each reads what was added before it uses an answer. The descriptor is inherited or opened here.
 */
import { closeSync, constants, fstatSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { ALL_ACCESSES, QUESTION_LIMITS } from "@sluice/decision-api";
import { z } from "zod";
import { type AskIdentity, askIdOf } from "./ask-identity.js";

export interface WrittenAnswer {
  identity: AskIdentity;
  by: string;
  /** Milliseconds since 1970. */
  atMs: number;
}

const text = z.string().max(QUESTION_LIMITS.textLength);
const answerLine = z.strictObject({
  always: z.strictObject({
    mount: text,
    policyId: text,
    rule: text,
    uid: z.number().int(),
    executable: text,
    accesses: z.array(z.enum(ALL_ACCESSES)).min(1),
    paths: z.array(z.string()).min(1).max(QUESTION_LIMITS.paths),
  }),
  by: z.string(),
  at: z.number(),
});
const revokeLine = z.strictObject({ revoke: z.string(), by: z.string(), at: z.number() });

/** Answers are few and short; a larger file is none of ours. Its end, which may revoke some, would not be read: no answer of it holds. */
const MAX_BYTES = 8 << 20;
/** For revocations, when no answer has room any more. */
const ROOM_TO_REVOKE = 1 << 20;
const CHUNK_BYTES = 64 << 10;
const NEWLINE = 10;
const FOR_OTHERS = 0o022;

/** Everybody who may write the file could answer. @throws an error with its code */
function checkFile(fd: number): void {
  const stat = fstatSync(fd);
  if (!stat.isFile()) throw Object.assign(new Error("it is no regular file"), { code: "EINVAL" });
  if ((stat.mode & FOR_OTHERS) !== 0) throw Object.assign(new Error("others than its owner may write it"), { code: "EPERM" });
}

export class AnswerFile {
  /** By their ids. */
  readonly #answers = new Map<string, WrittenAnswer>();
  readonly #fd: number;
  #readBytes = 0;
  /** The beginning of a line whose end is not written yet. */
  #rest: Buffer = Buffer.alloc(0);

  /** @throws an error with its code if the file cannot be read */
  constructor(source: number | string) {
    this.#fd =
      typeof source === "number"
        ? source
        : openSync(source, constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    checkFile(this.#fd);
    this.#readNew();
  }

  get(askId: string): WrittenAnswer | undefined {
    this.#readNew();
    return this.#answers.get(askId);
  }

  all(): ReadonlyMap<string, WrittenAnswer> {
    this.#readNew();
    return this.#answers;
  }

  /** @throws an error with its code if it cannot be written: then it does not hold */
  add({ identity, by, atMs }: WrittenAnswer): void {
    this.#append({ always: identity, by, at: atMs }, MAX_BYTES - ROOM_TO_REVOKE);
  }

  /** @throws an error with its code if it cannot be written */
  revoke(askId: string, by: string): void {
    this.#append({ revoke: askId, by, at: Date.now() }, MAX_BYTES);
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** One write at the end of the file: lines of several services do not mix. */
  #append(line: object, most: number): void {
    this.#readNew();
    // A line that a killed service left unfinished is no answer, and must not spoil this one.
    const lead = this.#rest.length > 0 ? "\n" : "";
    const bytes = Buffer.from(`${lead}${JSON.stringify(line)}\n`);
    const { size, nlink } = fstatSync(this.#fd);
    if (nlink === 0) throw Object.assign(new Error("the file was removed"), { code: "ENOENT" });
    if (size + bytes.length > most) throw Object.assign(new Error("the file is full"), { code: "EFBIG" });
    // A disk without room for all of them takes some, and that is no error yet.
    if (writeSync(this.#fd, bytes) < bytes.length) throw Object.assign(new Error("the disk is full"), { code: "ENOSPC" });
    fsyncSync(this.#fd);
    this.#readNew();
  }

  #readNew(): void {
    const { size, nlink } = fstatSync(this.#fd);
    // Somebody removed or emptied it, or put something else in its place: no answer holds any more.
    const isGone = nlink === 0;
    if (isGone || size < this.#readBytes || size > MAX_BYTES) {
      this.#answers.clear();
      this.#readBytes = 0;
      this.#rest = Buffer.alloc(0);
    }
    if (isGone || size > MAX_BYTES) return;
    const chunk = Buffer.alloc(CHUNK_BYTES);
    while (this.#readBytes < size) {
      const length = readSync(this.#fd, chunk, 0, CHUNK_BYTES, this.#readBytes);
      if (length === 0) return;
      this.#readBytes += length;
      this.#take(Buffer.concat([this.#rest, chunk.subarray(0, length)]));
    }
  }

  #take(bytes: Buffer): void {
    let from = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, from)) {
      this.#takeLine(bytes.toString("utf8", from, end));
      from = end + 1;
    }
    this.#rest = Buffer.from(bytes.subarray(from));
  }

  /** A line that cannot be understood allows nothing. */
  #takeLine(line: string): void {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      return;
    }
    const answer = answerLine.safeParse(value);
    if (answer.success) {
      const { always: identity, by, at } = answer.data;
      this.#answers.set(askIdOf(identity), { identity, by, atMs: at });
      return;
    }
    const revoked = revokeLine.safeParse(value);
    if (revoked.success) this.#answers.delete(revoked.data.revoke);
  }
}
