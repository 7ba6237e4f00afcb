/** When the server looks for the next request before it sleeps. */
import { describe, expect, it } from "vitest";
import { Patience } from "./adaptive-busy-poll.js";

/** How many of so many ends of a burst are waited at, where each wait takes as long and comes to the same. */
function waits(patience: Patience, ends: number, outcome: { elapsedUs: number; rewarded: boolean }): number {
  let waited = 0;
  for (let end = 0; end < ends; end++) {
    if (!patience.waits) {
      patience.passedOver();
      continue;
    }
    waited++;
    patience.waited(outcome.elapsedUs, outcome.rewarded);
  }
  return waited;
}

describe("patience", () => {
  it("waits each time for a client that comes at once", () => {
    expect(waits(new Patience(), 1000, { elapsedUs: 12, rewarded: true })).toBe(1000);
  });

  it("hardly ever waits for nothing", () => {
    expect(waits(new Patience(), 10_000, { elapsedUs: 40, rewarded: false })).toBeLessThan(60);
  });

  it("hardly ever waits where others have the processor meanwhile, even if a request comes of it", () => {
    expect(waits(new Patience(), 10_000, { elapsedUs: 3000, rewarded: true })).toBeLessThan(60);
  });

  it("learns nothing from requests that were there already", () => {
    const patience = new Patience();
    const outcomes = [1, 40, 1, 1, 40, 1].flatMap((elapsedUs) => new Array<number>(2000).fill(elapsedUs));
    let missed = 0;
    for (const elapsedUs of outcomes) {
      if (!patience.waits) patience.passedOver();
      else if (elapsedUs === 1) patience.waited(elapsedUs, true);
      else {
        missed++;
        patience.waited(elapsedUs, false);
      }
    }
    expect(missed).toBeLessThan(40);
  });

  it("comes back to it after one wait that was worth it", () => {
    const patience = new Patience();
    waits(patience, 10_000, { elapsedUs: 40, rewarded: false });
    expect(waits(patience, 1000, { elapsedUs: 12, rewarded: true })).toBeGreaterThan(740);
  });
});
