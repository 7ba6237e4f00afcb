/**
 * The names that the policy in force hides, by the patterns that the decision service told: nobody is asked. Before the first policy
 * is known every name is hidden, unless an outage lets every open through. In an outage the last patterns hold.
 */
import { HiddenNames, type PolicyCapabilities } from "@sluice/decision-api";

export class HiddenByPolicy {
  /** Undefined: no policy is known yet. */
  #names: HiddenNames | undefined;
  /** `showsUnjudged`: before the first policy nothing is hidden, as every open is let through then (--on-outage mediate). */
  constructor(private readonly showsUnjudged = false) {}

  /** Called if other names than before are hidden. */
  changed: () => void = () => undefined;

  /** The capabilities have passed the checks of the contract. */
  learn({ hiddenNames = [] }: PolicyCapabilities): void {
    const before = this.#names?.globs;
    if (before?.length === hiddenNames.length && before.every((glob, at) => glob === hiddenNames[at])) return;
    this.#names = new HiddenNames(hiddenNames);
    this.changed();
  }

  get any(): boolean {
    return this.#names === undefined ? !this.showsUnjudged : this.#names.any;
  }

  hides(directory: string, name: string): boolean {
    return this.#names === undefined ? !this.showsUnjudged : this.#names.hidesIn(directory, name);
  }

  /** No policy is known yet: whether a name is hidden is not known either. */
  get unknown(): boolean {
    return this.#names === undefined && !this.showsUnjudged;
  }
}
