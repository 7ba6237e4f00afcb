import { createLogger } from "./logger.js";
import { expect, it } from "vitest";

function loggedMessage(err: unknown): unknown {
  const lines: string[] = [];
  createLogger({ name: "test", output: { write: (line) => void lines.push(line) } }).error({ err }, "it failed");
  return (JSON.parse(lines.join("")) as { err: { message?: unknown } }).err.message;
}

it("tells each cause of an error once", () => {
  const refused = new Error("connect ECONNREFUSED");
  const told = new Error(`the engine cannot be asked: ${refused.message}`, { cause: refused });
  expect(loggedMessage(told)).toBe("the engine cannot be asked: connect ECONNREFUSED");
  expect(loggedMessage(new Error("no answer", { cause: told }))).toBe("no answer: the engine cannot be asked: connect ECONNREFUSED");
  const [one, other] = [new Error("one"), new Error("other")];
  one.cause = other;
  other.cause = one;
  expect(loggedMessage(one)).toBe("one: other");
});

it("tells an error as well by the name 'error'", () => {
  const lines: string[] = [];
  createLogger({ name: "test", output: { write: (line) => void lines.push(line) } }).warn({ error: new Error("why") }, "it failed");
  expect((JSON.parse(lines.join("")) as { error: { message?: unknown } }).error.message).toBe("why");
});
