import { expect, test } from "vitest";
import { counted } from "./counted.js";

test("a count of 1 has the singular, and a count of 0 the plural", () => {
  expect([0, 1, 2].map((count) => counted(count, "server"))).toEqual(["0 servers", "1 server", "2 servers"]);
  expect(counted(1, "open waits", "opens wait")).toBe("1 open waits");
});
