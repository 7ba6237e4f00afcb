import { describe, expect, test } from "vitest";
import { type ComparedAnswer, isLaxer } from "./compare-rulings.js";

const answer = (effect: ComparedAnswer["effect"], obligations: Record<string, string> = {}): ComparedAnswer => ({
  effect,
  decision: { obligations: Object.entries(obligations).map(([name, value]) => ({ name, value })) },
});
const slow = (bytes: number, ratePer?: string): ComparedAnswer =>
  answer("mediate", { readBytesPerSecond: String(bytes), ...(ratePer === undefined ? {} : { ratePer }) });

describe("isLaxer", () => {
  test.each<[string, ComparedAnswer, ComparedAnswer, boolean]>([
    ["a grant after a denial", answer("grant"), answer("deny"), true],
    ["a grant after a mediation", answer("grant"), answer("mediate"), true],
    ["a denial after a grant", answer("deny"), answer("grant"), false],
    ["a denial after an obligation", answer("deny"), slow(10), false],
    ["the same obligation", slow(10), slow(10), false],
    ["a lower rate", slow(5), slow(10), false],
    ["a higher rate", slow(20), slow(10), true],
    ["no rate", answer("mediate"), slow(10), true],
    ["a rate each for handles, shared before", slow(10, "handle"), slow(10), true],
    ["a rate shared by all of a rule, by a user before", slow(10, "rule"), slow(10), false],
    ["a grant without its read-only obligation", answer("grant"), answer("grant", { readOnly: "true" }), true],
    ["a mediation without a grant's read-only obligation", answer("mediate"), answer("grant", { readOnly: "true" }), true],
    ["a read-only obligation besides", answer("grant", { readOnly: "true" }), answer("grant"), false],
    ["another value of an unknown obligation", answer("mediate", { custom: "b" }), answer("mediate", { custom: "a" }), true],
    ["the same value of an unknown obligation", answer("mediate", { custom: "a" }), answer("mediate", { custom: "a" }), false],
    ["a ruling without a decision after an obligation", { effect: "mediate", decision: undefined }, slow(10), true],
  ])("%s: %o", (_, other, before, laxer) => {
    expect(isLaxer(other, before)).toBe(laxer);
  });
});
