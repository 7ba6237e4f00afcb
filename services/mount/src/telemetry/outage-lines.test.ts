import type { Decision } from "@sluice/decision-api";
import { expect, it } from "vitest";
import { OutageLines } from "./outage-lines.js";

const decision = (change: Partial<Decision>): Decision => ({
  effect: "deny",
  errno: 13,
  decisionId: "o-1",
  policyId: "on-outage",
  rule: "deny",
  revision: { sequence: 0n, digest: "" },
  reason: "no decision service is connected",
  obligations: [],
  source: "outage",
  ...change,
});

function started() {
  const lines: [string, Record<string, unknown>][] = [];
  const clock = { ms: 0 };
  const outages = new OutageLines(
    (detail, message) => lines.push([message, detail]),
    () => clock.ms,
  );
  const decided = (change: Partial<Decision> = {}): void => outages.decided(decision(change), () => "a");
  return { lines, clock, decided };
}

it("logs the first access of an outage, and their numbers at its end", () => {
  const { lines, clock, decided } = started();
  decided({ source: "service", effect: "grant" });
  expect(lines).toEqual([]);
  decided();
  clock.ms = 2_000;
  decided();
  decided({ effect: "mediate", rule: "mediate" });
  expect(lines).toEqual([
    [
      "no decision can be had for an access, it is denied: further ones are counted",
      { path: "a", rule: "deny", reason: "no decision service is connected" },
    ],
  ]);
  clock.ms = 9_000;
  decided({ source: "service" });
  expect(lines.slice(1)).toEqual([["decisions can be had again", { denied: 2, allowed: 1, seconds: 2 }]]);
  decided({ source: "service" });
  expect(lines).toHaveLength(2);
});

it("logs questions that fail among others once", () => {
  const { lines, clock, decided } = started();
  for (let round = 0; round < 100; round++) {
    clock.ms += 100;
    decided({ rule: "refused" });
    decided({ source: "service" });
  }
  expect(lines).toHaveLength(1);
});

it("logs an outage while a caller asks questions that are refused", () => {
  const { lines, decided } = started();
  decided({ rule: "refused", reason: "the path is too long" });
  decided();
  decided({ rule: "refused" });
  expect(lines.map(([, { reason }]) => reason)).toEqual(["the path is too long", "no decision service is connected"]);
});

it("says that an access goes on by a decision from before, and nothing of answers from the cache", () => {
  const { lines, decided } = started();
  decided({ source: "cache" });
  decided({ source: "stale", effect: "grant", rule: "all", reason: "rule 'all' matches for read" });
  expect(lines).toEqual([
    ["no decision can be had for an access, it goes on by the last decision: further ones are counted", { path: "a", rule: "all" }],
  ]);
});
