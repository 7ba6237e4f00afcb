import { expect, test } from "vitest";
import { terminalLine } from "./terminal-line.js";

const line = (log: object): string =>
  terminalLine(JSON.stringify({ level: 30, time: "2026-01-02T03:04:05.678Z", name: "mount", pid: 1, ...log }));

test("a log line has time, service, an unusual level, message, and short values", () => {
  expect(line({ msg: "mounted", mountpoint: "/m", lowers: ["/a", "/b"], negotiated: { flags: [1] }, upper: null })).toMatch(
    /^\d\d:04:05 mount: mounted \(mountpoint \/m; lowers \/a, \/b\)\n$/,
  );
  expect(line({ level: 40, msg: "late" })).toMatch(/^\d\d:04:05 mount: warning: late\n$/);
});

test("shows no character that a terminal would obey", () => {
  expect(line({ msg: "a\u001b[2Jb", path: "c\nd\u009b", err: { message: "e\u0007" } })).toMatch(
    / a\\033\[2Jb: e\\a \(path c\\nd\\302\\233\)\n$/,
  );
});

test("passes on lines that are not of the log, such as a process' last words", () => {
  expect(terminalLine("FATAL ERROR: out of memory\u001b\n")).toBe("FATAL ERROR: out of memory\\033\n");
});

test("shows the stack of an error, and only the cause of a warning", () => {
  const { message, stack } = new Error("broken");
  expect(line({ level: 40, msg: "w", err: { message, stack } })).toMatch(/warning: w: broken\n$/);
  expect(line({ level: 50, msg: "e", err: { message, stack } })).toMatch(/error: e: broken\n {4}at .*terminal-line\.test/);
});
