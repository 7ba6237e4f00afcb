/** Reviews a planted session, and applies a selection of it as `sluice apply` does. */
import { NOTHING_KNOWN } from "../conflicts.js";
import { completeSelection } from "../complete-selection.js";
import type { Difference } from "../difference.js";
import { reviewLayers } from "../review.js";
import { selectorOf } from "../selection.js";
import { applyDifferences } from "../apply/apply.js";
import { appliedStates } from "../apply/undo.js";
import type { PlantedSession } from "./plant-session.js";

export interface Reviewed {
  /** Applies the changes that the words select, or all. */
  apply(words?: string[]): Promise<void>;
  all: readonly Difference[];
  conflicts: string[];
}

export function reviewed(session: PlantedSession): Reviewed {
  const stack = session.stack();
  const all = reviewLayers(stack, { ...NOTHING_KNOWN, applied: appliedStates(session.place) });
  return {
    apply(words = []) {
      const isSelected = selectorOf(session.base, words);
      const wanted = all.list.filter(({ path }) => isSelected(path));
      const chosen = completeSelection(all, wanted);
      const rest = all.list.filter((one) => !chosen.includes(one));
      return applyDifferences(session.place, stack, { chosen, rest, unchanged: all.unchanged });
    },
    all: all.list,
    conflicts: all.list.filter(({ conflict }) => conflict !== undefined).map(({ path }) => path),
  };
}

export async function applyPlanted(session: PlantedSession, words: string[] = []): Promise<void> {
  await reviewed(session).apply(words);
}
