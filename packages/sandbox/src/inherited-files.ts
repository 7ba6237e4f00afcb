/**
 * The open files that this process has inherited. The command gets the standard ones alone. It can open each again, by /proc/self/fd, and with
 * more rights than the caller had it opened with: a directory would lead out of the sandbox, and a file to read could be written.
 */
import { type BigIntStats, constants, fstatSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { isatty } from "node:tty";
import { native, openBeneath } from "@sluice/native";
import { failed, wrong } from "@sluice/runtime/cli";
import type { Session } from "@sluice/sessions";

const STANDARD = ["standard input", "standard output", "standard error"];
/** The access mode of an open file: 0 is to read. */
const ACCESS_MODE = 3;
/** Of /dev/null and the others that every sandbox has. */
const MEMORY_DEVICES = new Set([3, 5, 7, 8, 9].map((minor) => (1 << 8) | minor));

/** A regular file that the caller opened for reading. */
export interface FileToRead {
  fd: number;
  /** As in an error message. */
  name: string;
  path: string;
  offsetBytes: number;
}

/** All files that this program opens itself are close-on-exec. That of the listing is closed by then. */
export function closeInherited(): void {
  for (const fd of readdirSync("/proc/self/fd").map(Number)) {
    if (fd >= STANDARD.length && native.descriptorFlags(fd) === 0) native.close(fd);
  }
}

function statOf(fd: number): BigIntStats | undefined {
  try {
    return fstatSync(fd, { bigint: true });
  } catch {
    return undefined; // it is closed
  }
}

/** The flags are in octal. */
function positionOf(fd: number): { offsetBytes: number; flags: number } {
  const found = /^pos:\s+(\d+)\nflags:\s+(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"));
  return { offsetBytes: Number(found?.[1] ?? 0), flags: Number.parseInt(found?.[2] ?? "0", 8) };
}

/** Undefined if another file has that name, or none that this process can reach. */
function pathOf(fd: number, { dev, ino }: BigIntStats): string | undefined {
  const path = readlinkSync(`/proc/self/fd/${fd}`);
  try {
    const found = statSync(path, { bigint: true });
    return found.dev === dev && found.ino === ino ? path : undefined;
  } catch {
    return undefined;
  }
}

const BY_PIPE = "pass its bytes through a pipe, as in 'cat FILE | sluice run …'";

function fileToRead(fd: number): FileToRead | undefined {
  const [stat, name] = [statOf(fd), STANDARD[fd] as string];
  if (stat === undefined) return undefined;
  if (stat.isDirectory()) throw wrong(name, "it is a directory, which would lead out of the sandbox (EISDIR)", "name a file, or /dev/null");
  if (stat.isSocket() || stat.isFIFO() || isatty(fd)) return undefined;
  const { offsetBytes, flags } = positionOf(fd);
  // The caller wants it to be written.
  if ((flags & ACCESS_MODE) !== 0) return undefined;
  if (!stat.isFile()) {
    if (stat.isCharacterDevice() && MEMORY_DEVICES.has(Number(stat.rdev))) return undefined;
    throw wrong(name, "it is a device, which the command could open for writing", BY_PIPE);
  }
  // Whoever has a file without a name open has it from the caller.
  if (stat.nlink === 0n) return undefined;
  const path = pathOf(fd, stat);
  if (path === undefined) throw wrong(name, "this file is not at the path by which it was opened (ENOENT)", BY_PIPE);
  return { fd, name, path, offsetBytes };
}

/** The standard files that the command gets in a way in which it cannot write them. @throws CliError if one would lead out of the sandbox */
export function filesToRead(): FileToRead[] {
  return STANDARD.flatMap((_name, fd) => fileToRead(fd) ?? []);
}

const placeOf = ({ fd }: FileToRead) => `standard-${fd}` as const;

/** Makes an empty file in the session for each, at which it is mounted in the namespaces of the command. @throws CliError */
export function makePlaces(session: Session, files: readonly FileToRead[]): (FileToRead & { at: string })[] {
  return files.map((file) => {
    const place = openBeneath(session.fd, placeOf(file), constants.O_RDONLY | constants.O_CREAT, 0o600);
    if (place < 0) throw failed(session.path(placeOf(file)), `the file cannot be made (errno ${-place})`, "check the room on its disk");
    native.close(place);
    return { ...file, at: session.path(placeOf(file)) };
  });
}

export function removePlaces(session: Session, files: readonly FileToRead[]): void {
  for (const file of files) native.unlinkat(session.fd, placeOf(file), 0);
}
