/** The differences of a session: of all its layers, with the records of its base, and with its applies. */
import { BaseRecords } from "@sluice/base-record";
import { LayerStack } from "@sluice/layer-tools";
import type { Attr } from "@sluice/vfs";
import { type Place, SLOTS_IN_BASE } from "./apply/place.js";
import { Earlier } from "./apply/restored.js";
import { keptNames } from "./apply/finish.js";
import { appliedStates } from "./apply/undo.js";
import { type Difference, isWithin, type OnProgress } from "./difference.js";
import { findMerges } from "./merge.js";
import { findRenames } from "./renames.js";
import { reviewLayers } from "./review.js";
import { type Differences, findDifferences } from "./walk-differences.js";

/** The session shows the replaced files of applies, whose undo needs them: they are no part of any change. */
function withoutSlots(stack: LayerStack, all: Differences): Differences {
  // Nothing reads the directory if there is no need: that would change its access time.
  if (!all.list.some(({ path }) => path.startsWith(SLOTS_IN_BASE))) return all;
  const names = stack.names(stack.roots(stack.uppers)).filter((name) => name.startsWith(SLOTS_IN_BASE));
  return { ...all, list: all.list.filter(({ path }) => !names.some((name) => isWithin(path, name))) };
}

function stackOf({ upper, frozen = [], base, snapshot }: Place): LayerStack {
  // A session shows its snapshot, but its changes go to the directory as it is now.
  const dataOnly = snapshot === undefined ? [] : [snapshot];
  return new LayerStack([upper, ...frozen, base], { uppers: 1 + frozen.length, dataOnly });
}

/** The differences alone: without conflicts, and without other names of the files. @throws CliError */
export function listChanges(place: Place): Difference[] {
  const stack = stackOf(place);
  const all = withoutSlots(stack, findDifferences(stack));
  findRenames(stack, all.list);
  return all.list;
}

/** @throws CliError */
export function reviewPlace(place: Place, onProgress?: OnProgress): { stack: LayerStack; all: Differences } {
  const { frozen = [], begun, isOtherBase = false } = place;
  const stack = stackOf(place);
  // The number of the layer that only has data, in the stack.
  const snapshot = place.snapshot === undefined ? undefined : 1 + frozen.length + 1;
  const records = new BaseRecords(place.records ?? []);
  const earlier = new Earlier(place);
  const formsOf = (path: string, attr: Attr): Attr[] => earlier.formsOf(path, attr);
  const known = { applied: appliedStates(place), formsOf, keptNames: keptNames(place), records, begun, snapshot, isOtherBase };
  const all = withoutSlots(stack, reviewLayers(stack, known, onProgress));
  findMerges(stack, all.list, { records, directory: place.directory.path });
  return { stack, all };
}
