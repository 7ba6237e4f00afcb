/** Counts for `sluice top`: by rule, by path, and by I/O mode. They run from the start of the server; `top` takes differences. */
import type { Decision, Effect } from "@sluice/decision-api";
import type { Flow } from "@sluice/overlay";
import { HotList } from "@sluice/runtime";

/** How many paths are counted; `top` shows ten. */
const HOT_PATHS = 64;
/** Of a policy with more rules, only the first ones that occur are counted. */
const MAX_RULES = 1024;

export type RuleCounts = Record<Effect, number>;

export class Activity {
  readonly opens: Record<Flow, number> = { passthrough: 0, mediated: 0 };
  readonly paths = new HotList(HOT_PATHS);
  readonly #rules = new Map<string, RuleCounts>();

  opened(path: string, flow: Flow): void {
    this.opens[flow]++;
    this.paths.add(path);
  }

  ruled({ rule, effect }: Decision): void {
    let counts = this.#rules.get(rule);
    if (counts === undefined) {
      if (this.#rules.size >= MAX_RULES) return;
      counts = { grant: 0, mediate: 0, ask: 0, deny: 0 };
      this.#rules.set(rule, counts);
    }
    counts[effect]++;
  }

  rules(): [rule: string, counts: RuleCounts][] {
    return [...this.#rules];
  }
}
