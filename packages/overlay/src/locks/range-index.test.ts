import { seededRandom } from "@sluice/testkit/random";
import { expect, test } from "vitest";
import { type Range, RangeIndex } from "./range-index.js";

test("finds what a walk over all ranges finds, while ranges come and go one by one and many at once", () => {
  for (let seed = 1; seed <= 5; seed++) {
    const next = seededRandom(seed).below;
    const index = new RangeIndex<Range>();
    let all: Range[] = [];
    const check = (): void => {
      const start = BigInt(next(2_000));
      const wanted = { start, end: start + BigInt(next(3) === 0 ? next(2_000) : next(4)) };
      const but = BigInt(next(4));
      const expected = all.filter((range) => range.start <= wanted.end && range.end >= wanted.start && range.owner !== but);
      const inOrder = expected.sort((a, b) => Number(a.start - b.start) || a.order - b.order);
      expect([...index.overlapping(wanted, but)]).toEqual(inOrder);
    };
    for (let order = 1; order <= 3_000; order++) {
      const start = BigInt(next(2_000));
      const range = { owner: BigInt(next(4)), start, end: start + BigInt(next(10) === 0 ? next(500) : next(3)), order, leaves: false };
      index.add(range);
      all.push(range);
      if (next(4) === 0) index.remove(all.splice(next(all.length), 1));
      if (order % 100 === 0) check();
    }
    const owner = BigInt(next(4));
    index.remove(all.filter((range) => range.owner === owner));
    all = all.filter((range) => range.owner !== owner);
    for (let i = 0; i < 30; i++) check();
    index.remove(all);
    expect([...index.overlapping({ start: 0n, end: 1n << 62n })]).toEqual([]);
  }
});
