/** Freezes the upper layer of a session, and makes one upper layer again of several. */
import { joinRecords } from "@sluice/base-record";
import { LayerStack, LayerWriter, type Tree, walkUppers } from "@sluice/layer-tools";
import { native, openBeneath, readNames, StatWord } from "@sluice/native";
import { failed } from "@sluice/runtime/cli";
import { AT, Attr, errnoName, O, RENAME } from "@sluice/vfs";
import { drawLayer, MERGED } from "./layers.js";
import type { SessionRecord } from "./record.js";
import { removeOwn } from "./remove-own.js";
import { below, makePrivate, type Place } from "./state-directory.js";

const MERGED_NEXT = `${MERGED}.next`;
const NS = 1_000_000_000n;

/** The session as far as it is needed here. */
interface Frozen {
  readonly record: SessionRecord;
  openLowest(): Tree;
  openLayers(): Tree[];
  openRecords(): number[];
}

export function isOwnUpper({ fd }: Place): boolean {
  return native.statx(fd, "upper", AT.SYMLINK_NOFOLLOW, new Attr().words) >= 0;
}

function isEmpty(place: Place, name: string): boolean {
  const fd = openBeneath(place.fd, name, O.RDONLY | O.DIRECTORY, 0);
  const names = fd < 0 ? fd : readNames(fd);
  if (fd >= 0) native.close(fd);
  if (typeof names !== "number") return names.length === 0;
  throw failed(below(place, name).path, `the directory cannot be read (${errnoName(-names)})`, "check its disk");
}

function lookAt(fd: number, path: string): Attr {
  const attr = new Attr();
  const status = native.statx(fd, "", AT.EMPTY_PATH, attr.words);
  if (status < 0) throw failed(path, `it cannot be read (${errnoName(-status)})`, "check its disk");
  return attr;
}

function bornAt({ words }: Attr): string {
  const seconds = (BigInt(words[StatWord.btimeHi] as number) << 32n) | BigInt(words[StatWord.btimeLo] as number);
  return String(BigInt.asUintN(63, seconds) * NS + BigInt(words[StatWord.btimeNsec] as number));
}

/** Whether the root of the view, which is that of the upper layer, looks different from the one below. */
function rootDiffers([upper, next]: readonly Attr[]): boolean {
  return upper?.mode !== next?.mode || upper?.uid !== next?.uid || upper?.gid !== next?.gid;
}

/** See `SessionRecord`. */
export function begunOf({ record }: Pick<Frozen, "record">, { fd, path }: Tree): string {
  return record.begun ?? bornAt(lookAt(fd, path));
}

/** The layers of the session after a freeze. An upper layer without changes stays, so that forks of forks have no empty layers. */
export function planFreeze(place: Place, session: Frozen): Pick<SessionRecord, "begun" | "layers" | "homeLayers"> {
  const { homeLayers } = session.record;
  const name = drawLayer();
  const home = homeNames(place).some((directory) => !isEmpty(place, `home/upper/${directory}`));
  return { ...planUpperFreeze(place, session, name), homeLayers: home ? [name, ...homeLayers] : homeLayers };
}

/** The same of the view of the directory alone. */
export function planUpperFreeze(place: Place, session: Frozen, name: string): Pick<SessionRecord, "begun" | "layers"> {
  const { layers } = session.record;
  const trees = session.openLayers();
  try {
    trees.push(session.openLowest());
    const attrs = trees.map(({ fd, path }) => lookAt(fd, path));
    const changed = !isEmpty(place, "upper") || rootDiffers(attrs);
    return { begun: begunOf(session, trees[0] as Tree), layers: changed ? [name, ...layers] : layers };
  } finally {
    for (const { fd } of trees) native.close(fd);
  }
}

function homeNames(place: Place): string[] {
  const fd = openBeneath(place.fd, "home/upper", O.RDONLY | O.DIRECTORY, 0);
  const names = fd < 0 ? fd : readNames(fd);
  if (fd >= 0) native.close(fd);
  return typeof names === "number" ? [] : names;
}

function openNew(place: Place, name: string): number {
  makePrivate(place, name);
  const fd = openBeneath(place.fd, name, O.RDONLY | O.DIRECTORY, 0);
  if (fd < 0) throw failed(below(place, name).path, `it cannot be opened (${errnoName(-fd)})`, "check its disk");
  return fd;
}

function writeRecords(records: readonly number[], into: Place): void {
  const fd = openNew(into, "base");
  const status = joinRecords(records, fd);
  native.close(fd);
  if (status < 0) throw failed(below(into, "base").path, `the record of the base cannot be copied (${errnoName(-status)})`, "make room");
}

/** Copies what all layers of the session show over its directory into a new layer. Nothing changes them meanwhile. @throws CliError */
export async function copyLayers(session: Frozen, into: Place): Promise<void> {
  const own = session.openLayers();
  const trees = [...own, session.openLowest()];
  const records = session.openRecords();
  try {
    if (records.length > 0) writeRecords(records, into);
    const stack = new LayerStack(trees, { uppers: own.length });
    // It syncs the file system.
    await new LayerWriter(stack, openNew(into, "upper")).write(walkUppers(stack));
  } finally {
    for (const { fd } of trees) native.close(fd);
    for (const fd of records) native.close(fd);
  }
}

/** Writes one new layer in place of all layers of the session. It is complete when it has its name. @throws CliError */
export async function writeMerged(place: Place, session: Frozen): Promise<void> {
  removeOwn(place.fd, MERGED_NEXT);
  const next: Place = { fd: openNew(place, MERGED_NEXT), path: below(place, MERGED_NEXT).path };
  try {
    await copyLayers(session, next);
  } finally {
    native.close(next.fd);
  }
  const status = native.renameat2(place.fd, MERGED_NEXT, place.fd, MERGED, RENAME.NOREPLACE);
  if (status < 0) throw failed(below(place, MERGED).path, `it cannot be renamed (${errnoName(-status)})`, "check its disk");
  native.fsync(place.fd);
}
