import type { Decision, EnforcedDecisions } from "@sluice/decision-api";
import { decisionOf } from "@sluice/testkit";
import { plainQuestion } from "@sluice/decision-api";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { DecisionTally, type DecisionWindow } from "./decision-tally.js";

const denied: Decision = { ...decisionOf("deny"), rule: "keys", source: "cache" };
const granted: Decision = { ...decisionOf("grant"), rule: "default", source: "cache" };
const intent = (path: string) => ({ operation: "open" as const, accesses: ["read" as const], paths: [path] });

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const nextSecond = (): void => void vi.advanceTimersByTime(1_000);

interface Watched {
  tally: DecisionTally;
  windows: DecisionWindow[];
  /** Pids whose program was read. */
  read: number[];
}

function watched(): Watched {
  const read: number[] = [];
  const tally = new DecisionTally((pid) => {
    read.push(pid);
    return `/bin/p${pid % 2}`;
  });
  const windows: DecisionWindow[] = [];
  tally.listen((window) => windows.push(window));
  return { tally, windows, read };
}

const sum = (each: readonly { count: number }[]): number => each.reduce((all, { count }) => all + count, 0);
const shown = ({ path, program, pid, count }: EnforcedDecisions): unknown[] => [path, program, pid, count];

test("equal decisions of one second are one row, also those of several callers of one program", () => {
  const { tally, windows, read } = watched();
  for (let round = 0; round < 1_000; round++) for (const pid of [2, 3]) tally.recalled(denied, { pid, uid: 7 }, intent("a"));
  tally.recalled(denied, { pid: 4, uid: 7 }, intent("a"));
  // Its place in the table is the same.
  tally.recalled(denied, { pid: 4, uid: 7 + 256 }, intent("a"));
  nextSecond();
  expect(read).toEqual([2, 3, 4, 4]);
  expect(windows).toHaveLength(1);
  expect(windows[0]?.named.map(shown)).toEqual([
    ["a", "/bin/p0", 4, 1_001],
    ["a", "/bin/p1", 3, 1_000],
    ["a", "/bin/p0", 4, 1],
  ]);
  expect(windows[0]?.unnamed).toEqual([]);
  expect(tally.denied().map(({ path, program, uid, count }) => [path, program, uid, count])).toEqual([
    ["a", "/bin/p0", 7, 1_001],
    ["a", "/bin/p1", 7, 1_000],
    ["a", "/bin/p0", 263, 1],
  ]);
});

test("decisions beyond the rate are counted by rule and read no program, and grants take no room of denials", () => {
  const { tally, windows, read } = watched();
  for (const decision of [granted, denied])
    for (let number = 0; number < 10_000; number++) tally.recalled(decision, { pid: number, uid: number % 4 }, intent(`f${number}`));
  nextSecond();
  const [{ named, unnamed } = { named: [], unnamed: [] }] = windows;
  expect(named.filter(({ effect }) => effect === "deny").length).toBe(200);
  expect(named.length).toBe(250);
  expect(read.length).toBe(250);
  expect(sum(named) + sum(unnamed)).toBe(20_000);
  expect(unnamed.map(({ rule, effect, asked }) => [rule, effect, asked])).toEqual([
    ["default", "grant", false],
    ["keys", "deny", false],
  ]);
  expect(tally.deniedUnnamed).toBe(9_800);
  tally.recalled(denied, { pid: 1, uid: 7 }, intent("next"));
  nextSecond();
  expect(windows[1]?.named.map(shown)).toEqual([["next", "/bin/p1", 1, 1]]);
});

test("a user who is denied without end hides no denial of another user", () => {
  const { tally, windows } = watched();
  for (let number = 0; number < 1_000; number++) tally.recalled(denied, { pid: number, uid: 7 }, intent(`f${number}`));
  tally.recalled(denied, { pid: 2, uid: 8 }, intent("secret"));
  nextSecond();
  const [{ named } = { named: [] }] = windows;
  expect(named.filter(({ uid }) => uid === 7)).toHaveLength(150);
  expect(named.filter(({ uid }) => uid === 8).map(shown)).toEqual([["secret", "/bin/p0", 2, 1]]);
});

test("rules without number are counted together, and no decision is lost", () => {
  const { tally, windows } = watched();
  for (let number = 0; number < 5_000; number++)
    tally.recalled({ ...denied, rule: `rule ${number}` }, { pid: number, uid: 7 }, intent(`f${number}`));
  nextSecond();
  const [{ named, unnamed } = { named: [], unnamed: [] }] = windows;
  expect(sum(named) + sum(unnamed)).toBe(5_000);
  expect(unnamed.length).toBeLessThanOrEqual(129);
  expect(unnamed.at(-1)).toMatchObject({ rule: "(other rules)", effect: "deny" });
});

test("tells a service's answers from the others, and the program that the question had", () => {
  const { tally, windows, read } = watched();
  const question = { ...plainQuestion("asked"), program: "/bin/known" };
  tally.decided({ ...denied, source: "service" }, question);
  for (let number = 0; number < 250; number++) tally.decided({ ...denied, source: "outage" }, question);
  for (let number = 0; number < 10; number++) tally.decided({ ...denied, source: "service" }, question);
  nextSecond();
  expect(read).toEqual([]);
  expect(windows[0]?.named.map(({ source, program, count }) => [source, program, count])).toEqual([
    ["service", "/bin/known", 1],
    ["outage", "/bin/known", 149],
  ]);
  expect(windows[0]?.unnamed.map(({ asked, count }) => [asked, count])).toEqual([
    [true, 10],
    [false, 101],
  ]);
});

test("of a second's questions only so many tell the program of their caller", () => {
  const { tally } = watched();
  const told = Array.from({ length: 300 }, () => tally.programOf(2));
  expect(told.filter((program) => program === "/bin/p0")).toHaveLength(200);
  nextSecond();
  expect(tally.programOf(2)).toBe("/bin/p0");
  nextSecond();
});

test("the newest decisions stay for a later reader, in bounded room", () => {
  const { tally } = watched();
  for (let second = 0; second < 50; second++) {
    for (let number = 0; number < 20; number++) tally.recalled(denied, { pid: 2, uid: 7 }, intent(`${second} ${number}`));
    nextSecond();
  }
  const rows = tally.recent().flatMap(({ named }) => named);
  expect(rows.length).toBe(200);
  expect(rows.at(-1)?.path).toBe("49 19");
});

test("whoever looks gets the decisions so far, and raises no bound by it", () => {
  const { tally, windows, read } = watched();
  for (let number = 0; number < 1_000; number++) {
    tally.recalled(denied, { pid: number, uid: 7 }, intent(`f${number}`));
    if (number % 100 === 0) tally.flush();
  }
  expect(read.length).toBe(150);
  expect(windows[0]?.named).toHaveLength(1);
  nextSecond();
  expect(windows.reduce((all, { named, unnamed }) => all + sum(named) + sum(unnamed), 0)).toBe(1_000);
  nextSecond();
  tally.recalled(denied, { pid: 1, uid: 7 }, intent("next"));
  nextSecond();
  expect(windows.at(-1)?.named.map(shown)).toEqual([["next", "/bin/p1", 1, 1]]);
});
