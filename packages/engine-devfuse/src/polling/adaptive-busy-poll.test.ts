/** When the server polls for the next request before it sleeps. */
import { describe, expect, it } from "vitest";
import { AdaptiveBusyPoll } from "./adaptive-busy-poll.js";
import { connections } from "./connections.js";

/** The number of polls at the ends of `ends` bursts, if each poll has the same outcome. */
function polls(busyPoll: AdaptiveBusyPoll, ends: number, outcome: { elapsedUs: number; found: boolean }): number {
  let polled = 0;
  for (let end = 0; end < ends; end++) {
    if (!busyPoll.due) {
      busyPoll.skipped();
      continue;
    }
    polled++;
    busyPoll.polled(outcome.elapsedUs, outcome.found);
  }
  return polled;
}

describe("the adaptive busy poll", () => {
  it("polls each time for a client that comes at once", () => {
    expect(polls(new AdaptiveBusyPoll(), 1000, { elapsedUs: 12, found: true })).toBe(1000);
  });

  it("hardly ever polls in vain", () => {
    expect(polls(new AdaptiveBusyPoll(), 10_000, { elapsedUs: 40, found: false })).toBeLessThan(60);
  });

  it("hardly ever polls while other threads have the processor, even if a poll finds a request", () => {
    expect(polls(new AdaptiveBusyPoll(), 10_000, { elapsedUs: 3000, found: true })).toBeLessThan(60);
  });

  it("learns nothing from requests that were there before the poll", () => {
    const busyPoll = new AdaptiveBusyPoll();
    const outcomes = [1, 40, 1, 1, 40, 1].flatMap((elapsedUs) => new Array<number>(2000).fill(elapsedUs));
    let missed = 0;
    for (const elapsedUs of outcomes) {
      if (!busyPoll.due) busyPoll.skipped();
      else if (elapsedUs === 1) busyPoll.polled(elapsedUs, true);
      else {
        missed++;
        busyPoll.polled(elapsedUs, false);
      }
    }
    expect(missed).toBeLessThan(40);
  });

  it("does not poll while the process has several connections", () => {
    const busyPoll = new AdaptiveBusyPoll();
    connections.begun();
    connections.begun();
    expect(polls(busyPoll, 1000, { elapsedUs: 12, found: true })).toBe(0);
    connections.ended();
    expect(polls(busyPoll, 1000, { elapsedUs: 12, found: true })).toBe(1000);
    connections.ended();
  });

  it("polls regularly again after one successful poll", () => {
    const busyPoll = new AdaptiveBusyPoll();
    polls(busyPoll, 10_000, { elapsedUs: 40, found: false });
    expect(polls(busyPoll, 1000, { elapsedUs: 12, found: true })).toBeGreaterThan(740);
  });
});
