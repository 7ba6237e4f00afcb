import { expect, it } from "vitest";
import { ANSWER_LIMITS } from "../limits.js";
import { mergeObligations, mergeRates } from "./merge-obligations.js";

const list = (obligations: Record<string, string>): { name: string; value: string }[] =>
  Object.entries(obligations).map(([name, value]) => ({ name, value }));
const merged = (...lists: Record<string, string>[]): Record<string, string> =>
  Object.fromEntries(mergeObligations(lists.map(list)).map(({ name, value }) => [name, value]));

it("keeps the obligations of all answers, and of two numbers the smaller", () => {
  expect(merged({ audit: "each-io", maxSizeBytes: "9" }, { maxSizeBytes: "10", readOnly: "true" })).toEqual({
    audit: "each-io",
    maxSizeBytes: "9",
    readOnly: "true",
  });
});

it.each([
  [{ readBytesPerSecond: "1", ratePer: "handle" }, { writeBytesPerSecond: "1", ratePer: "rule" }, "rule"],
  [{ readBytesPerSecond: "1", ratePer: "rule" }, { writeBytesPerSecond: "1", ratePer: "handle" }, "rule"],
  [{ readBytesPerSecond: "1", ratePer: "handle" }, { writeBytesPerSecond: "1" }, "subject"],
  [{ writeBytesPerSecond: "1" }, { readBytesPerSecond: "1", ratePer: "handle" }, "subject"],
  [{ readBytesPerSecond: "1", ratePer: "handle" }, { audit: "each-io" }, "handle"],
  [{ readBytesPerSecond: "1", ratePer: "planet" }, { readBytesPerSecond: "1", ratePer: "rule" }, "planet"],
])("shares a rate among the most opens that one of the answers names: %j and %j", (one, other, share) => {
  expect(merged(one as Record<string, string>, other as Record<string, string>)["ratePer"]).toBe(share);
});

it("names no share if no answer does", () => {
  expect(merged({ readBytesPerSecond: "2" }, { readBytesPerSecond: "1" })).toEqual({ readBytesPerSecond: "1" });
});

it("merges what one answer says twice, and keeps values that cannot be compared", () => {
  const twice = [
    { name: "readBytesPerSecond", value: "10" },
    { name: "readBytesPerSecond", value: "100" },
    { name: "maxSizeBytes", value: "many" },
    { name: "maxSizeBytes", value: "5" },
  ];
  expect(mergeObligations([twice])).toEqual([
    { name: "readBytesPerSecond", value: "10" },
    { name: "maxSizeBytes", value: "many" },
    { name: "maxSizeBytes", value: "5" },
  ]);
});

it("gives the rates of each rule, merged where several answers come from one", () => {
  const rated = (rule: string, obligations: Record<string, string>) => ({ rule, obligations: list(obligations) });
  const [read, write] = [
    rated("r", { readBytesPerSecond: "2", audit: "each-io" }),
    rated("w", { writeBytesPerSecond: "3", ratePer: "rule" }),
  ];
  const both = [
    { rule: "r", obligations: list({ readBytesPerSecond: "2" }) },
    { rule: "w", obligations: list({ writeBytesPerSecond: "3", ratePer: "rule" }) },
  ];
  expect(mergeRates([read, write], "r")).toEqual(both);
  expect(mergeRates([{ rule: "r", obligations: [], rates: both }, rated("r", { readBytesPerSecond: "1" })], "r")).toEqual([
    { rule: "r", obligations: list({ readBytesPerSecond: "1" }) },
    both[1],
  ]);
  expect(mergeRates([rated("x", { audit: "each-io" }), write], "x")).toEqual([both[1]]);
});

it("names no rules if the answer's own is the only one with a rate, or if there are too many", () => {
  const rated = (rule: string) => ({ rule, obligations: list({ readBytesPerSecond: "2" }) });
  expect(mergeRates([rated("r"), { rule: "x", obligations: list({ audit: "each-io" }) }], "r")).toBeUndefined();
  const many = Array.from({ length: ANSWER_LIMITS.rates + 1 }, (_, at) => rated(`r${at}`));
  expect([mergeRates(many.slice(1), "r0")?.length, mergeRates(many, "r0")]).toEqual([ANSWER_LIMITS.rates, undefined]);
});
