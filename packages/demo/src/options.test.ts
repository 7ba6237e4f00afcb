import { expect, test } from "vitest";
import { parseOptions } from "./options.js";

test("without arguments the demo cleans up and works in the temporary directory", () => {
  expect(parseOptions([])).toEqual({ kind: "run", options: { keep: false, scratch: undefined, engine: undefined } });
});

test("keep and scratch are understood, in both spellings", () => {
  const wanted = { kind: "run", options: { keep: true, scratch: "/srv", engine: undefined } };
  expect(parseOptions(["--keep", "--scratch", "/srv"])).toEqual(wanted);
  expect(parseOptions(["--scratch=/srv", "--keep"])).toEqual(wanted);
});

test.each([
  [["--kep"], "--kep"],
  [["--scratch"], "--scratch"],
  [["--engine"], "--engine"],
  [["--keep", "x"], "x"],
])("%j is refused by name", (args, name) => {
  const parsed = parseOptions(args);
  expect(parsed.kind).toBe("wrong");
  expect(parsed).toHaveProperty("message", expect.stringContaining(name));
});

test("an engine is passed on by its name", () => {
  expect(parseOptions(["--engine", "fuse-native"])).toMatchObject({ options: { engine: "fuse-native" } });
});

test("help wins over what follows it", () => {
  expect(parseOptions(["--help", "--nonsense"])).toEqual({ kind: "help" });
});
