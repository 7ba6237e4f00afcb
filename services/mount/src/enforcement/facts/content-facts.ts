/**
 * Facts about the content of a file, for policies. They are read just before the question goes out, and again when the answer arrives, so
 * that the file still has the content that the policy judged. The policy does not judge later writes.
 */
import { type FactNeeds, type Head, headText, type MissingFact, QUESTION_LIMITS, type Resource } from "@sluice/decision-api";
import { native } from "@sluice/native";
import type { Content } from "@sluice/overlay";
import { Errno, errnoName, RWF } from "@sluice/vfs";
import { FileDigests, WRITTEN } from "./file-digests.js";
import { type FindMapped, MAPPED, MappedFiles } from "./mapped-files.js";

type ContentNeeds = Pick<FactNeeds, "headBytes" | "needsDigest">;
type ContentFacts = Pick<Resource, "head" | "digest">;

/** No Buffer, whose slice() shares its memory. */
const beginning = new Uint8Array(QUESTION_LIMITS.headBytes);
const CHANGED = "it was changed since it was read";
const NOTHING = new Uint8Array(0);

/**
 * Up to `bytes` of it, in a buffer that the next call reuses; or the negative errno. With RWF_NOWAIT it returns -EAGAIN rather than wait for
 * a disk. File systems without RWF_NOWAIT (tmpfs) are read directly: they do not wait.
 */
function readHead(content: Content, bytes: number, flags: number): Uint8Array | number {
  return content.withDescriptor((fd) => {
    const range = { offset: 0, length: Math.min(bytes, beginning.length), position: 0 };
    let read = native.pread(fd, beginning, range, flags);
    if (read === -Errno.EOPNOTSUPP) read = native.pread(fd, beginning, range, 0);
    return read < 0 ? read : beginning.subarray(0, read);
  });
}

/** Reads it from the disk into the page cache. An error appears at the later read. */
async function fetchHead(content: Content, bytes: number): Promise<void> {
  const fd = content.withDescriptor((open) => native.dupfd(open));
  if (fd < 0) return;
  await native.preadAsync(fd, Buffer.alloc(bytes), { offset: 0, length: bytes, position: 0 }, 0);
  native.close(fd);
}

export class ContentReader {
  readonly #digests = new FileDigests();
  readonly #mapped: MappedFiles;

  constructor(findMapped: FindMapped) {
    this.#mapped = new MappedFiles(findMapped);
  }

  /** Whether `prepare` would not wait. It begins nothing. */
  isReady(content: Content | undefined, { headBytes, needsDigest }: ContentNeeds): boolean {
    if (content === undefined || (headBytes === 0 && !needsDigest)) return true;
    if (headBytes > 0 && readHead(content, headBytes, RWF.NOWAIT) === -Errno.EAGAIN) return false;
    if (content.beingWritten || content.mayBeMapped) return content.beingWritten;
    return !needsDigest || this.#digests.known(content) !== undefined;
  }

  /** Resolves once `read` need not wait, with the reason if there is no digest; undefined if that is so at once. */
  prepare(content: Content | undefined, needs: ContentNeeds): Promise<string | undefined> | undefined {
    if (content === undefined) return undefined;
    return content.mayBeMapped && !content.beingWritten ? this.#prepareUnmapped(content, needs) : this.#prepareNow(content, needs);
  }

  /** A store through a mapping of a dirty page changes neither size nor times, so known digests are worthless until the mapping is gone. */
  async #prepareUnmapped(content: Content, needs: ContentNeeds): Promise<string | undefined> {
    const mapped = await this.#mapped.isMapped(content.ino);
    if (!mapped) content.foundUnmapped();
    const noDigest = await this.#prepareNow(content, needs);
    return mapped ? MAPPED : noDigest;
  }

  #prepareNow(content: Content, needs: ContentNeeds): Promise<string | undefined> | undefined {
    const { headBytes, needsDigest } = needs;
    const cold = headBytes > 0 && readHead(content, headBytes, RWF.NOWAIT) === -Errno.EAGAIN;
    const fetched = cold ? fetchHead(content, headBytes) : undefined;
    const digested = needsDigest ? this.#digests.prepare(content) : undefined;
    return fetched === undefined ? digested : fetched.then(() => digested);
  }

  /** `noDigest` is the reason that `prepare` gave, if any. Facts that cannot be read are added to `missing`. */
  read(
    content: Content | undefined,
    { headBytes, needsDigest }: ContentNeeds,
    into: { missing: MissingFact[]; noDigest: string | undefined },
  ): ContentFacts {
    const { missing, noDigest } = into;
    const facts: ContentFacts = {};
    if (headBytes > 0) {
      const bytes = content === undefined ? NOTHING : readHead(content, headBytes, 0);
      if (typeof bytes === "number") missing.push({ name: "resource.head", reason: `it cannot be read (${errnoName(-bytes)})` });
      else facts.head = { bytes: bytes.slice(), askedBytes: headBytes };
    }
    if (needsDigest) {
      const digest = content === undefined ? "" : this.#digests.known(content);
      if (digest !== undefined) facts.digest = digest;
      else missing.push({ name: "resource.digest", reason: content?.beingWritten === true ? WRITTEN : (noDigest ?? CHANGED) });
    }
    return facts;
  }

  /** The head, for comparison with a cached answer; undefined if it cannot be read, or changes. */
  headText(content: Content | undefined, headBytes: number): string | undefined {
    if (content === undefined) return headText({ bytes: NOTHING, askedBytes: headBytes });
    if (content.beingWritten || content.mayBeMapped) return undefined;
    const bytes = readHead(content, headBytes, RWF.NOWAIT);
    return typeof bytes === "number" ? undefined : headText({ bytes, askedBytes: headBytes });
  }

  digestText(content: Content | undefined): string | undefined {
    return content === undefined ? "" : this.#digests.known(content);
  }

  /** Whether the content is still the same. */
  holds(content: Content | undefined, { head, digest }: ContentFacts): boolean {
    if (content === undefined) return true;
    if (digest !== undefined && this.#digests.known(content) !== digest) return false;
    return head === undefined || sameHead(readHead(content, head.askedBytes, 0), head);
  }

  close(): Promise<void> {
    return this.#digests.close();
  }
}

function sameHead(now: Uint8Array | number, { bytes }: Head): boolean {
  return typeof now !== "number" && Buffer.compare(now, bytes) === 0;
}
