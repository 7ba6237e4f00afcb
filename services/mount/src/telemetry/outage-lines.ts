/**
 * Lines of the log about accesses that no service decided: one for the first of an outage, and one with their numbers when
 * services decide again. Single questions that fail among others count as one outage while they follow each other closely.
 * Questions that are refused for what they ask count apart: a caller can provoke them, and would hide an outage.
 */
import type { Decision } from "@sluice/decision-api";

const CLOSELY_MS = 5_000;

const OUTCOMES = {
  deny: "it is denied",
  ask: "it is denied",
  mediate: "it is mediated",
  grant: "it goes on by the last decision",
} as const;

type Log = (detail: Record<string, unknown>, message: string) => void;

/** One outage, or none. */
class Outage {
  readonly #counts = { denied: 0, allowed: 0 };
  #sinceMs: number | undefined;
  #lastMs = 0;

  constructor(private readonly log: Log) {}

  guessed({ source, effect, reason, rule }: Decision, path: () => string, nowMs: number): void {
    this.#lastMs = nowMs;
    this.#counts[effect === "deny" || effect === "ask" ? "denied" : "allowed"]++;
    if (this.#sinceMs !== undefined) return;
    this.#sinceMs = nowMs;
    const why = source === "stale" ? {} : { reason };
    this.log({ path: path(), rule, ...why }, `no decision can be had for an access, ${OUTCOMES[effect]}: further ones are counted`);
  }

  decided(now: () => number): void {
    if (this.#sinceMs === undefined || now() - this.#lastMs < CLOSELY_MS) return;
    this.log({ ...this.#counts, seconds: Math.round((this.#lastMs - this.#sinceMs) / 1000) }, "decisions can be had again");
    this.#sinceMs = undefined;
    this.#counts.denied = 0;
    this.#counts.allowed = 0;
  }
}

export class OutageLines {
  readonly #outage: Outage;
  readonly #refusals: Outage;

  /** `now`: a clock that never goes back, in milliseconds. */
  constructor(
    log: Log,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#outage = new Outage(log);
    this.#refusals = new Outage(log);
  }

  /** `path`: for a person. */
  decided(decision: Decision, path: () => string): void {
    const { source, rule } = decision;
    if (source === "service" || source === "hedge") {
      this.#outage.decided(this.now);
      this.#refusals.decided(this.now);
    } else if (source === "outage" || source === "stale") {
      const outage = source === "outage" && rule === "refused" ? this.#refusals : this.#outage;
      outage.guessed(decision, path, this.now());
    }
  }
}
