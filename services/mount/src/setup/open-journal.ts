/** Opens the state that a server takes over: the journal in the keeper's memory file, and the keeper's store of descriptors. */
import { fstatSync } from "node:fs";
import { Journal, JOURNAL_BYTES, JournalError } from "@sluice/journal";
import type { KeeperLink } from "@sluice/keeper-link";
import { native } from "@sluice/native";
import type { Survival } from "@sluice/overlay";
import { errnoName } from "@sluice/vfs";
import { failed } from "@sluice/runtime/cli";

function memoryOf(fd: number, mountpoint: string): Buffer {
  // A keeper of an earlier version leaves the growing to the first server.
  const grown = fstatSync(fd).size >= JOURNAL_BYTES ? 0 : native.ftruncate(fd, JOURNAL_BYTES);
  const mapping = grown < 0 ? grown : native.mapShared(fd, JOURNAL_BYTES, true);
  if (typeof mapping !== "number") return mapping.bytes;
  throw failed(mountpoint, `the journal's memory cannot be mapped (${errnoName(-mapping)})`, "free memory, or mount with --keeper off");
}

function parseJournal(bytes: Buffer, mountpoint: string): Journal {
  try {
    return new Journal({ bytes, words: new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / Uint32Array.BYTES_PER_ELEMENT) });
  } catch (error) {
    if (error instanceof JournalError) throw failed(mountpoint, error.message, "see 'sluice upgrade --help'");
    throw error;
  }
}

/** Undefined if there is no keeper: then nothing survives the server, and nothing is written down. */
export function openJournal(link: KeeperLink, mountpoint: string): Survival | undefined {
  if (link.journalFd === undefined) return undefined;
  const bytes = memoryOf(link.journalFd, mountpoint);
  native.close(link.journalFd);
  return {
    journal: parseJournal(bytes, mountpoint),
    stored: new Map(link.stored),
    store: (key, fd) => void link.store(key, fd),
    drop: (key) => link.drop(key),
  };
}
