import { expect, test } from "vitest";
import { parseOptions } from "./options.js";

test("without arguments the demo cleans up and works in the temporary directory", () => {
  expect(parseOptions([])).toEqual({ kind: "run", options: { keep: false, scratch: undefined } });
});

test("keep and scratch are understood, in both spellings", () => {
  const wanted = { kind: "run", options: { keep: true, scratch: "/srv" } };
  expect(parseOptions(["--keep", "--scratch", "/srv"])).toEqual(wanted);
  expect(parseOptions(["--scratch=/srv", "--keep"])).toEqual(wanted);
});

test.each([
  [["--kep"], "--kep"],
  [["--scratch"], "--scratch"],
  [["--keep", "x"], "x"],
])("%j is refused by name", (args, name) => {
  const parsed = parseOptions(args);
  expect(parsed.kind).toBe("wrong");
  expect(parsed).toHaveProperty("message", expect.stringContaining(name));
});

test("help wins over what follows it", () => {
  expect(parseOptions(["--help", "--nonsense"])).toEqual({ kind: "help" });
});
