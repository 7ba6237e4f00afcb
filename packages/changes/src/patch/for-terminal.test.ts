import { bytes } from "@sluice/testkit";
import { expect, test } from "vitest";
import { forTerminal } from "./for-terminal.js";

test("escapes bytes that a terminal obeys or hides, and leaves tabs, newlines and letters", () => {
  expect(forTerminal("+evil\x1b[1A\x1b[2K\r\n+\tfine\n")).toBe("+evil\\033[1A\\033[2K\\r\n+\tfine\n");
  expect(forTerminal(bytes("+ü \u202e\n"))).toBe("+ü \\342\\200\\256\n");
});
