/** Differences for people and for programs. */
import { isDirectory, isMark, type LayerStack, readTarget, readXattrs } from "@sluice/layer-tools";
import { toText } from "@sluice/native";
import { escapeName, escapeTextName } from "@sluice/runtime/cli";
import { ACCESS_ACL, DEFAULT_ACL } from "@sluice/vfs";
import type { Aspect, Difference, Side } from "./difference.js";

export type Kind = "added" | "deleted" | "modified" | "metadata" | "renamed" | "type changed" | "covered";

const LETTERS: Readonly<Record<Kind, string>> = {
  added: "A",
  deleted: "D",
  modified: "M",
  metadata: "m",
  renamed: "R",
  "type changed": "T",
  covered: "?",
};

export function kindOf({ before, after, aspects, from, isCovered }: Difference): Kind {
  if (isCovered === true) return "covered";
  if (after === undefined) return "deleted";
  if (before === undefined) return from === undefined ? "added" : "renamed";
  if (aspects.includes("type")) return "type changed";
  return aspects.includes("content") ? "modified" : "metadata";
}

/** Of a selection: both ends of a rename are one change if both are in it. */
export function shownDifferences(selected: readonly Difference[]): Difference[] {
  const paths = new Set(selected.map(({ path }) => path));
  return selected.flatMap((one) => {
    if (one.to !== undefined && paths.has(one.to)) return [];
    const { from, ...alone } = one;
    return [from === undefined || paths.has(from) ? one : alone];
  });
}

export const octal = (mode: number): string => `0${(mode & 0o7777).toString(8)}`;
/** Of a file: whoever runs it gets them, as with the set-user-ID bit of root. */
const CAPABILITIES = "security.capability";
const PLAIN_MODES: readonly number[] = [0o644, 0o755, 0o664, 0o775, 0o600, 0o700, 0o777];

function detailOf(aspect: Aspect, before: Side, after: Side): string {
  const [old, now] = [before.object.attr, after.object.attr];
  if (aspect === "mode") return `mode ${octal(old.mode)} to ${octal(now.mode)}`;
  if (aspect === "owner") return `owner ${old.uid}:${old.gid} to ${now.uid}:${now.gid}`;
  if (aspect === "type") return `${before.type} to ${after.type}`;
  return aspect === "attributes" ? "extended attributes" : "content";
}

/** Without the marks of overlayfs. */
function attributeNames(stack: LayerStack, object: Side["object"]): string[] {
  if (object.listed === undefined) return isDirectory(object.attr) ? readXattrs(stack, object).map(([name]) => name) : [];
  const { prefix } = stack.tree(object);
  return object.listed.filter((name) => !isMark(prefix, name)).sort();
}

const OF_RIGHTS: readonly [kind: string, names: readonly string[]][] = [
  ["capabilities", [CAPABILITIES]],
  ["access list", [ACCESS_ACL, DEFAULT_ACL]],
];

const kindsIn = (names: readonly string[]): string[] =>
  OF_RIGHTS.filter(([, those]) => names.some((name) => those.includes(name))).map(([kind]) => kind);

/** Rights on a new object, or by it, that are not usual: such as the set-user-ID bit. */
function rightsOf(stack: LayerStack, { object, type }: Side): string[] {
  if (type === "symlink") return [];
  const { mode } = object.attr;
  const unusual = PLAIN_MODES.includes(mode & 0o7777) ? [] : [`mode ${octal(mode)}`];
  return [...unusual, ...kindsIn(attributeNames(stack, object))];
}

/** Such as "capabilities", and "extended attributes" for all that say nothing of rights. */
export function kindsOfAttributes(stack: LayerStack, sides: readonly Side[]): string[] {
  const names = sides.flatMap(({ object }) => attributeNames(stack, object));
  const isOther = names.some((name) => OF_RIGHTS.every(([, those]) => !those.includes(name)));
  return [...kindsIn(names), ...(isOther ? ["extended attributes"] : [])];
}

/** A new object that is more than a file or a directory. */
function detailsOfNew(stack: LayerStack, side: Side): string[] {
  const { object, type } = side;
  if (type === "symlink") return [`to ${escapeName(readTarget(stack, object))}`];
  return [...(type === "regular" || type === "directory" ? [] : [type]), ...rightsOf(stack, side)];
}

const MAX_NAMES = 3;

function linkDetails({ sameFile = [], oldNames = 0 }: Difference): string[] {
  const more = sameFile.length > MAX_NAMES ? ` and ${sameFile.length - MAX_NAMES} more` : "";
  const same = sameFile.length === 0 ? [] : [`same file as ${sameFile.slice(0, MAX_NAMES).map(escapeName).join(", ")}${more}`];
  if (oldNames === 0) return same;
  return [...same, oldNames === 1 ? "1 other name keeps the old file" : `${oldNames} other names keep the old file`];
}

function detailsOf(stack: LayerStack, one: Difference, origin: Difference | undefined): string[] {
  const before = origin?.before ?? one.before;
  if (one.after === undefined) return [];
  if (before === undefined) return detailsOfNew(stack, one.after);
  const aspects = one.aspects.filter((aspect) => aspect !== "content" || one.from !== undefined);
  const details = aspects.map((aspect) => detailOf(aspect, before, one.after as Side));
  if (one.after.type === "symlink" && one.aspects.some((aspect) => aspect === "content" || aspect === "type"))
    details.push(`to ${escapeName(readTarget(stack, one.after.object))}`);
  if (one.aspects.includes("type")) details.push(...rightsOf(stack, one.after));
  return details;
}

/** Such as "changed underneath, merges cleanly"; undefined if there is no conflict. */
export function conflictLabel({ conflict, merge }: Difference): string | undefined {
  if (conflict === undefined || merge === undefined) return conflict;
  const { conflicts } = merge;
  return `${conflict}, ${conflicts === 0 ? "merges cleanly" : `${conflicts} conflict${conflicts === 1 ? "" : "s"} in the merge`}`;
}

/** `origin`: the difference at the old path of a renamed file. */
export function differenceLine(stack: LayerStack, one: Difference, origin: Difference | undefined): string {
  const slash = (one.after ?? one.before)?.type === "directory" ? "/" : "";
  const from = one.from === undefined ? "" : `${escapeName(one.from)} -> `;
  const details = [...detailsOf(stack, one, origin), ...linkDetails(one)];
  const shown = details.length === 0 ? "" : ` (${details.join(", ")})`;
  const conflict = conflictLabel(one) ?? (origin === undefined ? undefined : conflictLabel(origin));
  const refusal = one.heldBack ?? origin?.heldBack;
  const labels = [
    ...(one.isCovered === true ? ["a file system is mounted there"] : []),
    ...(conflict === undefined ? [] : [conflict]),
    ...(refusal === undefined ? [] : [`held back: ${escapeTextName(refusal)}`]),
  ];
  return `${LETTERS[kindOf(one)]} ${from}${escapeName(one.path)}${slash}${shown}${labels.map((label) => ` [${label}]`).join("")}\n`;
}

const KINDS: Partial<Record<Kind, string>> = { metadata: "with other metadata", covered: "below a mount" };

/** "2 modified, 1 added" */
export function kindsOf(shown: readonly Difference[]): string {
  const count = (kind: Kind): string[] => {
    const found = shown.filter((one) => kindOf(one) === kind).length;
    return found === 0 ? [] : [`${found} ${KINDS[kind] ?? kind}`];
  };
  const kinds = (["modified", "added", "deleted", "renamed", "type changed", "metadata", "covered"] as const).flatMap(count);
  return kinds.length === 0 ? "no changes" : kinds.join(", ");
}

/** "2 modified, 1 added; 1 changed underneath" */
export function summaryOf(shown: readonly Difference[]): string {
  const conflicts = shown.filter(({ conflict }) => conflict !== undefined).length;
  const held = shown.filter(({ heldBack }) => heldBack !== undefined).length;
  return [
    kindsOf(shown),
    ...(conflicts === 0 ? [] : [`${conflicts} changed underneath`]),
    ...(held === 0 ? [] : [`${held} held back`]),
  ].join("; ");
}

interface SideReport {
  type: string;
  mode: string;
  uid: number;
  gid: number;
  sizeBytes: number;
  target?: string;
  /** The names of its extended attributes, if it has any. */
  attributes?: string[];
}

export interface DifferenceReport {
  kind: Kind;
  path: string;
  from?: string;
  aspects: readonly Aspect[];
  before: SideReport | null;
  after: SideReport | null;
  /** Other names of the same file. */
  sameFile?: string[];
  /** The number of names that keep the old file. */
  oldNames?: number;
  conflict: string | null;
  /** The reason why an apply leaves the change in the session unless it is named. */
  heldBack: string | null;
  /** The number of conflicts in the merge; null if there is none. */
  merge: { conflicts: number } | null;
}

function sideReport(stack: LayerStack, side: Side | undefined): SideReport | null {
  if (side === undefined) return null;
  const { mode, uid, gid, size } = side.object.attr;
  const target = side.type === "symlink" ? { target: toText(readTarget(stack, side.object)) } : {};
  const names = attributeNames(stack, side.object).map(toText);
  const attributes = names.length === 0 ? {} : { attributes: names };
  return { type: side.type, mode: octal(mode), uid, gid, sizeBytes: size, ...target, ...attributes };
}

/** For programs: names as text, without escapes. */
export function reportOf(stack: LayerStack, one: Difference): DifferenceReport {
  const { path, from, aspects, before, after, conflict, heldBack, merge, sameFile, oldNames } = one;
  return {
    kind: kindOf(one),
    path: toText(path),
    ...(from === undefined ? {} : { from: toText(from) }),
    aspects,
    before: sideReport(stack, before),
    after: sideReport(stack, after),
    ...(sameFile === undefined ? {} : { sameFile: sameFile.map(toText) }),
    ...(oldNames === undefined ? {} : { oldNames }),
    conflict: conflict ?? null,
    heldBack: heldBack ?? null,
    merge: merge === undefined ? null : { conflicts: merge.conflicts },
  };
}
