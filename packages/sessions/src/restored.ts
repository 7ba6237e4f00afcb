/**
 * Files of a directory that an apply moved away, and its undoing back: that is no change of anybody's, but the kernel notes it as one. The states
 * that they had before are for all sessions of the directory, and stay when the session with the apply is gone.
 */
import { closeSync, readFileSync, writeFileSync } from "node:fs";
import { native, openBeneath, readNames, toBytes, toText } from "@sluice/native";
import { CliError } from "@sluice/runtime/cli";
import { O } from "@sluice/vfs";
import { openState, type Place } from "./state-directory.js";

/** `identity`: the present state. `changed`: the times of change that the file had before, in nanoseconds since 1970. */
export type RestoredFile = [path: string, identity: string, changed: string[]];

/** Of a file that is being written. */
const NEXT = ".next";

interface Content {
  /** The directory. */
  base: string;
  files: RestoredFile[];
}

function inRestored<T>(make: boolean, use: (restored: Place) => T): T | undefined {
  const restored = openState("restored", make);
  if (restored === undefined) return undefined;
  try {
    return use(restored);
  } finally {
    native.close(restored.fd);
  }
}

/** A file that a killed writer cut short counts as missing: then there are more conflicts. */
function read({ fd: directory }: Place, name: string): Content | undefined {
  const fd = openBeneath(directory, toBytes(name), O.RDONLY | O.NONBLOCK, 0);
  if (fd < 0) return undefined;
  try {
    return JSON.parse(readFileSync(fd, "utf8")) as Content; // nobody else writes there
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}

function namesIn({ fd }: Place): string[] {
  const names = readNames(fd);
  return typeof names === "number" ? [] : names.map(toText).filter((name) => !name.endsWith(NEXT));
}

export function listRestored(base: string): RestoredFile[] {
  const all = inRestored(false, (restored) => namesIn(restored).map((name) => read(restored, name)));
  return (all ?? []).flatMap((content) => (content?.base === base ? content.files : []));
}

interface Noting {
  /** Of a session that this process has locked. */
  name: string;
  base: string;
}

function write({ name, base }: Noting, files: readonly RestoredFile[]): void {
  inRestored(true, (restored) => {
    const former = read(restored, name);
    const byPath = new Map((former?.base === base ? former.files : []).map((file) => [file[0], file]));
    for (const file of files) byPath.set(file[0], file);
    const fd = openBeneath(restored.fd, toBytes(`${name}${NEXT}`), O.WRONLY | O.CREAT | O.TRUNC, 0o600);
    if (fd < 0) return;
    try {
      writeFileSync(fd, JSON.stringify({ base, files: [...byPath.values()] } satisfies Content));
    } finally {
      closeSync(fd);
    }
    native.renameat2(restored.fd, `${name}${NEXT}`, restored.fd, name, 0);
  });
}

/** If the disk is full, or the directory is not the user's alone, they are not noted: an undo goes on. */
export function addRestored(noting: Noting, files: readonly RestoredFile[]): void {
  try {
    write(noting, files);
  } catch (error) {
    if (!(error instanceof CliError) && !(error instanceof Error && "code" in error)) throw error;
  }
}

/** Forgets those of directories without a session. @param bases those of all sessions */
export function removeRestored(bases: () => ReadonlySet<string>): void {
  inRestored(false, (restored) => {
    const names = namesIn(restored);
    if (names.length === 0) return;
    const used = bases();
    for (const name of names) if (!used.has(read(restored, name)?.base ?? "")) native.unlinkat(restored.fd, name, 0);
  });
}
