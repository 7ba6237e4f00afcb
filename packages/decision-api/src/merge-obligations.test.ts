import { expect, it } from "vitest";
import { mergeObligations } from "./merge-obligations.js";

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
