/** A patch and a table of lines, file by file, for the differences that are shown. */
import type { LayerStack } from "@sluice/layer-tools";
import { escapeName } from "@sluice/runtime/cli";
import type { Difference, Side } from "./difference.js";
import { type FilePatch, filePatches, isInGit, isTooLarge } from "./patch/git-patch.js";

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
export function missingInPatch(one: Difference, parents: ReadonlySet<string>, origin?: Difference): string | undefined {
  const { path, before, after } = one;
  if (one.isCovered === true) return "a file system is mounted there";
  if (isTooLarge(one)) return "a file of more than 256 MiB";
  // Git removes a directory with the last file in it.
  if (after === undefined && before?.type === "directory") return parents.has(path) ? undefined : "the removal of an empty directory";
  if (after?.type === "directory") return before === undefined && !parents.has(path) ? "an empty directory" : otherMetadata(one, before);
  if ((after !== undefined && !isInGit(after)) || (before !== undefined && before.type !== "directory" && !isInGit(before)))
    return "neither a file nor a symbolic link";
  return otherMetadata(one, origin?.before ?? before);
}

/** Git holds one bit of the mode. A new object has nothing to compare it with. */
function otherMetadata({ after, aspects }: Difference, before: Side | undefined): string | undefined {
  if (before === undefined) return undefined;
  const lost = aspects.filter((aspect) => aspect === "owner" || aspect === "attributes" || aspect === "mode");
  const [old, now] = [before.object.attr.mode, after?.object.attr.mode ?? 0];
  const shown = after?.type === "directory" || (old & ~0o111) !== (now & ~0o111) ? lost : lost.filter((aspect) => aspect !== "mode");
  return shown.length === 0 ? undefined : `its ${shown.join(" and ").replace("attributes", "extended attributes")}`;
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
