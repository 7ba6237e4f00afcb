import { expect, test } from "vitest";
import { ActivityRecord, kindOfDenial } from "./activity-record.js";
import { programOf } from "./program-name.js";

test("counts opens and denials by program", () => {
  const record = new ActivityRecord((pid) => (pid === 0 ? programOf(pid) : `/bin/p${pid}`));
  for (const pid of [1, 1, 2]) record.add("read", pid, "a");
  record.add("denied", 2, ".env");
  record.add("written", 0, "b");
  expect(record.toFile()).toEqual({
    version: 1,
    totals: { read: 3, written: 1, denied: 1, undecided: 0 },
    omitted: { read: 0, written: 0, denied: 0, undecided: 0 },
    programs: [
      { program: "/bin/p1", read: [["a", 2]], written: [], denied: [], undecided: [] },
      { program: "/bin/p2", read: [["a", 1]], written: [], denied: [[".env", 1]], undecided: [] },
      { program: "[unknown]", read: [], written: [["b", 1]], denied: [], undecided: [] },
    ],
  });
});

test("a denial for want of a decision is none of the policy", () => {
  expect(kindOfDenial({ effect: "deny", source: "outage" })).toBe("undecided");
  expect(kindOfDenial({ effect: "deny", source: "stale" })).toBe("denied");
  expect(kindOfDenial({ effect: "mediate", source: "outage" })).toBeUndefined();
});

test("its room is bounded, and reads without a name leave room for a denial", () => {
  const record = new ActivityRecord(() => "/bin/p");
  for (let number = 0; number < 20_000; number++) record.add("read", 1, `some/directory/${number}`);
  record.add("denied", 1, ".env");
  const { totals, omitted, programs } = record.toFile();
  expect(totals.read).toBe(20_000);
  expect(programs[0]?.read.length).toBe(20_000 - omitted.read);
  expect(omitted.read).toBeGreaterThan(10_000);
  expect(JSON.stringify(programs).length).toBeLessThan(512 << 10);
  expect(programs[0]?.denied).toEqual([[".env", 1]]);
});

test("a file that has its place is counted on, also if there is no room left", () => {
  const record = new ActivityRecord(() => "/bin/p");
  record.add("read", 1, "first");
  for (let number = 0; number < 20_000; number++) record.add("read", 1, `some/directory/${number}`);
  record.add("read", 1, "first");
  expect(record.toFile().programs[0]?.read[0]).toEqual(["first", 2]);
});
