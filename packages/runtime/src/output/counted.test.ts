import { expect, test } from "vitest";
import { counted } from "./counted.js";

test("one of a kind is named in the singular, and none in the plural", () => {
  expect([0, 1, 2].map((count) => counted(count, "server"))).toEqual(["0 servers", "1 server", "2 servers"]);
  expect(counted(1, "open waits", "opens wait")).toBe("1 open waits");
});
