/** A patch and a table of lines, file by file, for the differences that are shown. */
import type { LayerStack } from "@sluice/layer-tools";
import { escapeName } from "@sluice/runtime/cli";
import { kindsOfAttributes, octal } from "./describe.js";
import type { Difference, Side } from "./difference.js";
import { type FilePatch, filePatches, isInGit, isTooLarge } from "./patch/git-patch.js";

/** Without the bits to execute: by the usual masks (umask) of 022 and 002. */
const MODES_OF_GIT: readonly number[] = [0o644, 0o664];

/** In the order in which a patch applies: a name is free before something else gets it. */
export function* patchesOf(
  stack: LayerStack,
  shown: readonly Difference[],
  byPath: ReadonlyMap<string, Difference>,
): Iterable<[Difference, FilePatch[]]> {
  const ordered = [...shown.filter(({ after }) => after === undefined), ...shown.filter(({ after }) => after !== undefined)];
  for (const one of ordered) yield [one, filePatches(stack, one, one.from === undefined ? undefined : byPath.get(one.from))];
}

/** Directories that a patch makes, or removes, with the files in them. */
export function parentsOf(shown: readonly Difference[]): Set<string> {
  const parents = new Set<string>();
  for (const { path, from, before, after } of shown) {
    if ((after ?? before)?.type === "directory") continue;
    for (const file of from === undefined ? [path] : [path, from])
      for (let slash = file.lastIndexOf("/"); slash > 0; slash = file.lastIndexOf("/", slash - 1)) parents.add(file.slice(0, slash));
  }
  return parents;
}

/**
 * The reason why a patch does not hold the whole difference; undefined if it does.
 * @param origin the other end of a rename, if it is shown
 */
export function missingInPatch(stack: LayerStack, one: Difference, parents: ReadonlySet<string>, origin?: Difference): string | undefined {
  const { path, before, after } = one;
  if (one.isCovered === true) return "a file system is mounted there";
  if (isTooLarge(one)) return "a file of more than 256 MiB";
  // Git removes a directory with the last file in it.
  if (after === undefined)
    return before?.type !== "directory" || parents.has(path) ? notInGit(before) : "the removal of an empty directory";
  if (after.type === "directory" && before === undefined && !parents.has(path)) return "an empty directory";
  return notInGit(before) ?? notInGit(after) ?? lostMetadata(stack, one, { before: origin?.before ?? before, after });
}

const notInGit = (side: Side | undefined): string | undefined =>
  side === undefined || side.type === "directory" || isInGit(side) ? undefined : "neither a file nor a symbolic link";

/** Git holds one bit of the mode, and makes a new file for each name. */
function lostMetadata(
  stack: LayerStack,
  one: Difference,
  { before, after }: { before: Side | undefined; after: Side },
): string | undefined {
  const isNew = before === undefined || before.type !== after.type;
  const lost = isNew ? unusualOf(stack, after) : changedOf(stack, one, { before, after });
  const all = [...lost, ...(one.sameFile ?? []).slice(0, 1).map((name) => `hard link to ${escapeName(name)}`)];
  return all.length === 0 ? undefined : `its ${all.join(" and ")}`;
}

function changedOf(stack: LayerStack, { aspects }: Difference, { before, after }: { before: Side; after: Side }): string[] {
  const [old, now] = [before.object.attr.mode, after.object.attr.mode];
  const isBit = after.type !== "directory" && (old & ~0o111) === (now & ~0o111);
  return [
    ...(aspects.includes("owner") ? ["owner"] : []),
    ...(aspects.includes("attributes") ? kindsOfAttributes(stack, [before, after]) : []),
    ...(aspects.includes("mode") && !isBit ? [`mode ${octal(now)}`] : []),
  ];
}

/** The metadata of a new object that git does not give it. */
function unusualOf(stack: LayerStack, side: Side): string[] {
  const { mode, uid } = side.object.attr;
  return [
    ...(uid === process.geteuid?.() ? [] : ["owner"]),
    ...kindsOfAttributes(stack, [side]),
    ...(side.type === "symlink" || MODES_OF_GIT.includes(mode & 0o7666) ? [] : [`mode ${octal(mode)}`]),
  ];
}

function statLine({ path, from }: Difference, patches: readonly FilePatch[]): string {
  const name = `${from === undefined ? "" : `${escapeName(from)} -> `}${escapeName(path)}`;
  const [patch] = patches;
  if (patch === undefined) return ` ${name} |\n`;
  if (patches.some(({ lines }) => lines === undefined)) return ` ${name} | binary, ${patch.bytes.before} to ${patch.bytes.after} bytes\n`;
  const sum = (key: "added" | "removed"): number => patches.reduce((total, { lines }) => total + (lines?.[key] ?? 0), 0);
  return ` ${name} | +${sum("added")} -${sum("removed")}\n`;
}

/** A line for each difference. */
export function* statLines(stack: LayerStack, shown: readonly Difference[], byPath: ReadonlyMap<string, Difference>): Iterable<string> {
  for (const one of shown) {
    yield statLine(one, filePatches(stack, one, one.from === undefined ? undefined : byPath.get(one.from)));
  }
}
