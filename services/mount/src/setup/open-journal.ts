/** Opens the state that a server takes over: the journal in the keeper's memory file, and the keeper's store of descriptors. */
import { fstatSync } from "node:fs";
import { Journal, JOURNAL_BYTES, JournalError, type JournalMemory, uncountedBytes, viewsOf } from "@sluice/journal";
import type { KeeperLink } from "@sluice/keeper-link";
import { native } from "@sluice/native";
import type { Survival } from "@sluice/overlay";
import { errnoName } from "@sluice/vfs";
import { failed } from "@sluice/runtime/cli";
import type { MountContext } from "../serve/mount-context.js";

/**
 * A mapping of its own counts as new memory for V8: a process that takes fifty mounts over would collect garbage for more than a second.
 * @returns the negative errno if the file cannot be mapped
 */
function uncountedMapping(fd: number): Uint8Array | number {
  let place: Uint8Array;
  try {
    place = uncountedBytes();
  } catch {
    const mapping = native.mapShared(fd, JOURNAL_BYTES, true);
    return typeof mapping === "number" ? mapping : mapping.bytes;
  }
  const mapped = native.mapOver(place, fd);
  return mapped < 0 ? mapped : place;
}

function memoryOf(fd: number, { config: { mountpoint }, undo }: MountContext): Buffer {
  // A keeper of an earlier version leaves the growing to the first server.
  const grown = fstatSync(fd).size >= JOURNAL_BYTES ? 0 : native.ftruncate(fd, JOURNAL_BYTES);
  const mapping = grown < 0 ? grown : uncountedMapping(fd);
  if (typeof mapping === "number")
    throw failed(mountpoint, `the journal's memory cannot be mapped (${errnoName(-mapping)})`, "free memory, or mount with --keeper off");
  // V8 has no reason to collect it soon.
  undo.push("let go of the journal", () => void native.mapOver(mapping, -1));
  return Buffer.from(mapping.buffer, mapping.byteOffset, JOURNAL_BYTES);
}

function parseJournal(bytes: Buffer, mountpoint: string): Journal {
  try {
    return new Journal(viewsOf(bytes));
  } catch (error) {
    if (error instanceof JournalError) throw failed(mountpoint, error.message, "see 'sluice upgrade --help'");
    throw error;
  }
}

/** Memory for records of nodes without a keeper; it is mapped when somebody asks for it. */
export function recordMemory({ undo }: Pick<MountContext, "undo">): () => JournalMemory | undefined {
  let bytes: Uint8Array | undefined;
  undo.push("let go of the records of nodes", () => {
    if (bytes !== undefined) native.mapOver(bytes, -1);
  });
  return () => {
    try {
      bytes = uncountedBytes();
      return viewsOf(bytes);
    } catch {
      return undefined;
    }
  };
}

/** Undefined if there is no keeper: then nothing survives the server, and nothing is written down. */
export function openJournal(link: KeeperLink, context: MountContext): Survival | undefined {
  if (link.journalFd === undefined) return undefined;
  const bytes = memoryOf(link.journalFd, context);
  native.close(link.journalFd);
  return {
    journal: parseJournal(bytes, context.config.mountpoint),
    stored: new Map(link.stored),
    store: (key, fd) => void link.store(key, fd),
    drop: (key) => link.drop(key),
  };
}
