import type { EnforcedReport } from "@sluice/decision-api";
import { expect, test, vi } from "vitest";
import type { Told } from "./conversation.js";
import { EnforcedReports } from "./enforced-reports.js";

const reportOf = (rule: string, count: number): EnforcedReport => ({
  decisions: [],
  unnamed: [{ effect: "deny", rule, count }],
  missed: 0,
});

class Hearer {
  ready = true;
  reads = true;
  readonly heard: [rule: string | undefined, missed: number][] = [];
  constructor(readonly wantsReports = true) {}
  tell(told: Told): boolean {
    if (!this.reads || told.$case !== "enforced") return false;
    this.heard.push([told.value.unnamed[0]?.rule, Number(told.value.missed)]);
    return true;
  }
}

test("reports go to each service that wants them, and to no other", () => {
  const [one, other, old] = [new Hearer(), new Hearer(), new Hearer(false)];
  const reports = new EnforcedReports(() => [one, other, old]);
  reports.tell(reportOf("a", 1));
  expect([one.heard, other.heard, old.heard]).toEqual([[["a", 0]], [["a", 0]], []]);
  reports.close();
});

test("a service that does not read learns how many decisions it missed", () => {
  const [slow, quick] = [new Hearer(), new Hearer()];
  const reports = new EnforcedReports(() => [slow, quick]);
  slow.reads = false;
  reports.tell(reportOf("a", 3));
  reports.tell(reportOf("b", 4));
  slow.reads = true;
  reports.tell(reportOf("c", 1));
  reports.tell(reportOf("d", 1));
  expect(slow.heard).toEqual([
    ["c", 7],
    ["d", 0],
  ]);
  expect(quick.heard.map(([rule]) => rule)).toEqual(["a", "b", "c", "d"]);
  reports.close();
});

test("while no service can be reached the last reports wait, and the others are counted", () => {
  vi.useFakeTimers();
  try {
    const service = new Hearer();
    service.ready = false;
    const reports = new EnforcedReports(() => [service]);
    for (let second = 0; second < 40; second++) reports.tell(reportOf(String(second), 2));
    expect(service.heard).toEqual([]);
    service.ready = true;
    vi.advanceTimersByTime(2_000);
    expect(service.heard).toHaveLength(30);
    expect(service.heard.slice(0, 2)).toEqual([
      ["10", 20],
      ["11", 0],
    ]);
    reports.close();
  } finally {
    vi.useRealTimers();
  }
});
