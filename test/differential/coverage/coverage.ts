/** A table of the calls and the states of their objects; an empty cell that is not declared impossible is a failure. */
import { STATES, type State } from "../run/object-state.js";
import type { Step } from "../run/round.js";
import { impossibleBecause } from "./impossible-cells.js";

/** A call with two names has a row for each: "rename" for the source, "rename to" for the target. */
export class Coverage {
  readonly #counts = new Map<string, Map<State, number>>();

  constructor(rows: readonly string[]) {
    for (const row of rows) this.#counts.set(row, new Map());
  }

  add(steps: readonly Step[]): void {
    for (const { operation, kernel } of steps) {
      if (kernel.facts === undefined) continue;
      this.#count(operation.call, kernel.facts.state);
      if (kernel.facts.to !== undefined) this.#count(`${operation.call} to`, kernel.facts.to);
    }
  }

  #count(row: string, state: State): void {
    const cells = this.#counts.get(row);
    if (cells === undefined) throw new Error(`${row} has no row`);
    cells.set(state, (cells.get(state) ?? 0) + 1);
  }

  /** "rename × opaque". */
  empty(): string[] {
    return [...this.#counts].flatMap(([row, cells]) =>
      STATES.filter((state) => (cells.get(state) ?? 0) === 0 && impossibleBecause(row, state) === undefined).map(
        (state) => `${row} × ${state}`,
      ),
    );
  }

  /** Cells that were filled although they are declared impossible. */
  unexpected(): string[] {
    return [...this.#counts].flatMap(([row, cells]) =>
      STATES.filter((state) => (cells.get(state) ?? 0) > 0 && impossibleBecause(row, state) !== undefined).map(
        (state) => `${row} × ${state}`,
      ),
    );
  }

  table(): string {
    const width = 14;
    const head = ["", ...STATES].map((text) => text.padEnd(width)).join("");
    const rows = [...this.#counts].map(([row, cells]) => {
      const shown = STATES.map((state) =>
        (impossibleBecause(row, state) === undefined ? String(cells.get(state) ?? 0) : "–").padEnd(width),
      );
      return `${row.padEnd(width)}${shown.join("")}`;
    });
    return [head, ...rows].join("\n");
  }
}
