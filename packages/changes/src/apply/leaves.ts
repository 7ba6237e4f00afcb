/**
 * The parts of an upper layer that show nothing but the lower layers once a selection is applied. They leave the session, so that later
 * changes below show in it again. A part goes as a whole, with copies in it that differ in nothing.
 */
import { isDirectory, join, type LayerStack } from "@sluice/layer-tools";
import { above } from "../complete-selection.js";
import type { Difference } from "../difference.js";

/** @param rest the differences that are not applied */
export function leavesOf(stack: LayerStack, rest: readonly Difference[]): string[] {
  const needed = new Set<string>();
  for (const { path } of rest) for (const one of [path, ...above(path)]) needed.add(one);
  const leaves: string[] = [];
  const directories = [""];
  for (let at = directories.pop(); at !== undefined; at = directories.pop()) {
    for (const name of stack.names([{ layer: 0, path: at }])) {
      const path = join(at, name);
      if (!needed.has(path)) leaves.push(path);
      else if (merges(stack, at, name)) directories.push(path);
    }
  }
  return leaves;
}

/** Without the upper object, an entry of an opaque or renamed directory would not show the one at the same path below. */
function merges(stack: LayerStack, directory: string, name: string): boolean {
  const hit = stack.look({ layer: 0, path: directory }, name);
  if (hit === undefined || hit === "whiteout" || hit.opaque || !isDirectory(hit.attr)) return false;
  return stack.mark(hit, "redirect") === undefined;
}
