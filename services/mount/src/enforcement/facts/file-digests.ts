/**
 * A cache of the SHA-256 of file contents, by file and time of change. The kernel changes a file's ctime with each write, so the same
 * inode, size, mtime and ctime mean the same content, with two exceptions. A second write within one tick of a coarse clock is invisible, so
 * a file that has just changed is read a little later. Stores through a mapping do not all change the ctime, so a file that is open for
 * writing, or mapped for it, has no digest.
 */
import { fstatSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { native } from "@sluice/native";
import type { Content } from "@sluice/overlay";
import { errnoName } from "@sluice/vfs";
import { type Digested, DigestThread, MAX_DIGEST_BYTES } from "./digest-thread.js";

const REMEMBERED = 65_536;
/** Two ticks of the slowest clock for timestamps of files (100 Hz). */
const STABLE_MS = 20;
/** For a file system that keeps times in whole seconds, as an ext4 with small inodes, or in pairs of them, as FAT. */
const COARSE_STABLE_MS = 2_000;
/** How often to read a file again that changes during the read. */
const MAX_READINGS = 3;

export const WRITTEN = "somebody has it open for writing";

interface Identity {
  file: string;
  state: string;
  sizeBytes: bigint;
  changedMs: number;
  /** A write this long after the last change shows. */
  stableMs: number;
}

function identityOf(fd: number): Identity {
  const { dev, ino, size, mtimeNs, ctimeNs } = fstatSync(fd, { bigint: true });
  return {
    file: `${dev}:${ino}`,
    state: `${size}:${mtimeNs}:${ctimeNs}`,
    sizeBytes: size,
    changedMs: Number(ctimeNs / 1_000_000n),
    stableMs: ctimeNs % 1_000_000_000n === 0n ? COARSE_STABLE_MS : STABLE_MS,
  };
}

export class FileDigests {
  readonly #thread = new DigestThread();
  /** The newest last. */
  readonly #known = new Map<string, { state: string; digest: string }>();
  readonly #underWay = new Map<string, Promise<string | undefined>>();

  /** The digest of the content now; undefined if it is unknown, or if the content is changing. */
  known(content: Content): string | undefined {
    if (content.beingWritten || content.mayBeMapped) return undefined;
    const found = content.withDescriptor((fd) => {
      const { file, state } = identityOf(fd);
      const known = this.#known.get(file);
      return known?.state === state ? known.digest : undefined;
    });
    return typeof found === "number" ? undefined : found;
  }

  /** Resolves once the digest is known, or with the reason why there is none; undefined if that is so at once. Never rejects. */
  prepare(content: Content): Promise<string | undefined> | undefined {
    if (content.beingWritten || content.mayBeMapped || this.known(content) !== undefined) return undefined;
    const begun = content.withDescriptor((fd) => this.#begin(fd));
    return typeof begun === "number" ? Promise.resolve(`it cannot be read (${errnoName(-begun)})`) : begun;
  }

  close(): Promise<void> {
    return this.#thread.close();
  }

  /** Opens of one file share a read. */
  #begin(fd: number): Promise<string | undefined> {
    const { file, sizeBytes } = identityOf(fd);
    if (sizeBytes > MAX_DIGEST_BYTES) return Promise.resolve(`it is larger than ${MAX_DIGEST_BYTES} bytes`);
    const underWay = this.#underWay.get(file);
    if (underWay !== undefined) return underWay;
    const own = native.dupfd(fd);
    if (own < 0) return Promise.resolve(`it cannot be read (${errnoName(-own)})`);
    const reading = this.#read(own).finally(() => {
      native.close(own);
      this.#underWay.delete(file);
    });
    this.#underWay.set(file, reading);
    return reading;
  }

  async #read(fd: number): Promise<string | undefined> {
    for (let reading = 0; reading < MAX_READINGS; reading++) {
      const before = identityOf(fd);
      const ageMs = Date.now() - before.changedMs;
      if (ageMs < before.stableMs) {
        // Somebody may have set the clock back.
        await sleep(before.stableMs - Math.max(0, ageMs));
        if (identityOf(fd).state !== before.state) continue;
      }
      const copy = native.dupfd(fd);
      const digested: Digested = copy < 0 ? { problem: `it cannot be read (${errnoName(-copy)})` } : await this.#thread.compute(copy);
      if ("problem" in digested) return digested.problem;
      if (identityOf(fd).state !== before.state) continue;
      this.#remember(before, digested.digest);
      return undefined;
    }
    return "it changes while it is read";
  }

  #remember({ file, state }: Identity, digest: string): void {
    this.#known.delete(file);
    this.#known.set(file, { state, digest });
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= REMEMBERED) break;
      this.#known.delete(oldest);
    }
  }
}
