/** session.json: the record of a session. It is replaced as a whole, so that a reader finds the old content or the new one. */
import { fstatSync, readFileSync, writeFileSync } from "node:fs";
import { native, openBeneath } from "@sluice/native";
import { type CliError, codeOf, failed, unfit } from "@sluice/runtime/cli";
import { Errno, errnoName, O } from "@sluice/vfs";
import { isLayerName } from "./names.js";
import { below, type Place, REMOVE_SESSION, remedyFor, remedyIfGone } from "./state-directory.js";

const FILE = "session.json";
const NEXT = "session.json.next";
const VERSION = 1;
/** A command line has at most 2 MiB. */
const MAX_BYTES = 16 * 1024 * 1024;

/** A state of a session that it can be forked from. */
export interface Checkpoint {
  readonly name: string;
  /** ISO 8601. */
  readonly created: string;
  readonly layers: readonly string[];
  readonly homeLayers: readonly string[];
}

export interface SessionRecord {
  readonly version: typeof VERSION;
  readonly name: string;
  /** The directory that the session works on: an absolute path. */
  readonly base: string;
  /** Its time of birth; null if that is unknown. */
  readonly baseBorn: string | null;
  readonly ownerUid: number;
  /** The marks of its layers are user.overlay.* attributes. */
  readonly userXattr: boolean;
  /** ISO 8601. */
  readonly created: string;
  /** When its first layer was made, also if another session made it: in nanoseconds since 1970. Null: its upper layer is that one. */
  readonly begun: string | null;
  /** The layer that shows the directory as it was; null: the directory itself is shown. */
  readonly snapshot: string | null;
  /** Names of the frozen layers below its upper one, the newest first, and of those of the view of $HOME. */
  readonly layers: readonly string[];
  readonly homeLayers: readonly string[];
  readonly checkpoints: readonly Checkpoint[];
  /** Only `sluice undo` finds it. It goes with the next apply or discard. */
  readonly discarded: boolean;
  /** The last command. */
  readonly command: readonly string[];
  /** The name of a preset, or the path of a policy. */
  readonly policy: string;
  /** Earlier versions wrote the process that ran a command here, and take a record without this field for damaged. */
  readonly runner: null;
}

const isNames = (value: unknown): boolean => Array.isArray(value) && value.every((name) => typeof name === "string" && isLayerName(name));

function isCheckpoint(value: unknown): boolean {
  const { name, created, layers, homeLayers } = (value ?? {}) as Record<keyof Checkpoint, unknown>;
  return typeof name === "string" && typeof created === "string" && isNames(layers) && isNames(homeLayers);
}

/** The type of each field, and whether a value has it. */
const FIELDS: { readonly [Field in keyof SessionRecord]: (value: unknown) => boolean } = {
  version: (value) => value === VERSION,
  name: (value) => typeof value === "string",
  base: (value) => typeof value === "string" && value.startsWith("/"),
  baseBorn: (value) => value === null || typeof value === "string",
  ownerUid: Number.isSafeInteger,
  userXattr: (value) => typeof value === "boolean",
  created: (value) => typeof value === "string" && !Number.isNaN(Date.parse(value)),
  begun: (value) => value === null || (typeof value === "string" && /^\d+$/.test(value)),
  snapshot: (value) => value === null || isNames([value]),
  layers: isNames,
  homeLayers: isNames,
  checkpoints: (value) => Array.isArray(value) && value.every(isCheckpoint),
  discarded: (value) => typeof value === "boolean",
  command: (value) => Array.isArray(value) && value.every((word) => typeof word === "string"),
  policy: (value) => typeof value === "string",
  runner: (value) => value === null || typeof value === "object",
};

/** Records of earlier versions lack these. */
const ABSENT: Pick<SessionRecord, "baseBorn" | "begun" | "snapshot" | "layers" | "homeLayers" | "checkpoints" | "discarded"> = {
  ...{ baseBorn: null, begun: null, snapshot: null, layers: [], homeLayers: [], checkpoints: [], discarded: false },
};

function parse(text: string, path: string): SessionRecord {
  let value: unknown;
  try {
    const parsed: unknown = JSON.parse(text);
    value = typeof parsed === "object" && parsed !== null ? { ...ABSENT, ...parsed } : undefined;
  } catch {
    value = undefined;
  }
  const record = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const bad = Object.entries(FIELDS).find(([field, fits]) => !fits(record[field]))?.[0];
  if (bad === undefined) return { ...(value as SessionRecord), runner: null }; // each field has been looked at
  if (bad === "version" && typeof record["version"] === "number")
    throw unfit(path, `it has version ${record["version"]}, and this program knows version ${VERSION}`, "use the program that wrote it");
  throw unfit(path, `the record of this session is damaged (${bad})`, REMOVE_SESSION);
}

/** @param directory of the session. @throws CliError */
export function readRecord(directory: Place): SessionRecord {
  const { path } = below(directory, FILE);
  // Not a wait for the other end of a FIFO.
  const fd = openBeneath(directory.fd, FILE, O.RDONLY | O.NONBLOCK, 0);
  if (fd < 0) {
    const problem = `the record of this session cannot be read (${errnoName(-fd)})`;
    throw unfit(path, problem, remedyIfGone(fd, REMOVE_SESSION));
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() || stat.uid !== process.geteuid?.() || (stat.mode & 0o077) !== 0 || stat.size > MAX_BYTES)
      throw unfit(path, "it is not a file that its owner alone can reach (EPERM)", REMOVE_SESSION);
    return parse(readFileSync(fd, "utf8"), path);
  } finally {
    native.close(fd);
  }
}

/** False: its disk is full. */
function isWritten(fd: number, text: string): boolean {
  try {
    writeFileSync(fd, text);
    return true;
  } catch (error) {
    if (["ENOSPC", "EDQUOT"].includes(codeOf(error))) return false;
    throw error;
  }
}

/** Before the lock file goes: a command that waits for the lock finds no session then. @param directory of the session */
export function removeRecord(directory: Place): void {
  native.unlinkat(directory.fd, FILE, 0);
}

/** @param status a negative errno */
function notWritten(directory: Place, status: number): CliError {
  const problem = `the record of the session cannot be written (${errnoName(-status)})`;
  return failed(below(directory, FILE).path, problem, remedyFor(status, "make room on its disk"));
}

/** Writes the record of a session in which nothing has begun to its disk, while this process goes on. Rejects with a CliError. */
export async function syncRecord(directory: Place): Promise<void> {
  const fd = openBeneath(directory.fd, FILE, O.RDONLY, 0);
  const status = fd < 0 ? fd : await native.fsyncAsync(fd, false).finally(() => native.close(fd));
  if (status < 0) throw notWritten(directory, status);
}

/** @param directory of the session. `toDisk` false: `syncRecord` follows. @throws CliError */
export function writeRecord(directory: Place, record: SessionRecord, { toDisk = true } = {}): void {
  const cannot = (status: number): never => {
    throw notWritten(directory, status);
  };
  const gone = native.unlinkat(directory.fd, NEXT, 0);
  if (gone < 0 && gone !== -Errno.ENOENT) cannot(gone);
  const fd = openBeneath(directory.fd, NEXT, O.WRONLY | O.CREAT | O.EXCL, 0o600);
  if (fd < 0) return cannot(fd);
  try {
    if (!isWritten(fd, `${JSON.stringify(record, null, 2)}\n`)) cannot(-Errno.ENOSPC);
    const status = toDisk ? native.fsync(fd) : 0;
    if (status < 0) cannot(status);
  } finally {
    native.close(fd);
  }
  const status = native.renameat2(directory.fd, NEXT, directory.fd, FILE, 0);
  if (status < 0) cannot(status);
}
