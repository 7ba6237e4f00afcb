/** The review of a planted session, as the commands make it, and an apply of a part. */
import { applyDifferences } from "../apply/apply.js";
import { appliedStates } from "../apply/undo.js";
import { completeSelection } from "../complete-selection.js";
import { NOTHING_KNOWN } from "../conflicts.js";
import type { Difference } from "../difference.js";
import { reviewLayers } from "../review.js";
import { selectorOf } from "../selection.js";
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
      return applyDifferences(session.place, stack, { chosen, rest: all.list.filter((one) => !chosen.includes(one)) });
    },
    all: all.list,
    conflicts: all.list.filter(({ conflict }) => conflict !== undefined).map(({ path }) => path),
  };
}
