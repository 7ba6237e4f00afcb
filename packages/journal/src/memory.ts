/** The memory that a journal lies in. */
import { JOURNAL_BYTES, type JournalMemory } from "./layout.js";

/** The types of ES2022 do not know the options. */
const GrowableMemory = SharedArrayBuffer as unknown as new (bytes: number, options: { maxByteLength: number }) => SharedArrayBuffer;

/**
 * Memory that V8 does not count: it would collect all garbage for each mapping that it counts. It consists of whole pages, and a page
 * takes no memory before something is written to it. JOURNAL_BYTES of zeros.
 * @throws RangeError if the kernel promises no memory that it does not have (vm.overcommit_memory=2), and this is too much
 */
export function uncountedBytes(): Uint8Array {
  return new Uint8Array(new GrowableMemory(JOURNAL_BYTES, { maxByteLength: JOURNAL_BYTES }));
}

/** Both views of the same bytes. */
export function viewsOf(bytes: Uint8Array): JournalMemory {
  return { bytes, words: new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / Uint32Array.BYTES_PER_ELEMENT) };
}
