import { describe, expect, it } from "vitest";
import { Cancellation } from "./cancellation.js";

function recorder(cancellation: Cancellation): { calls: string[]; listen(name: string): () => void } {
  const calls: string[] = [];
  const listen = (name: string): (() => void) => {
    const listener = (): void => {
      calls.push(name);
    };
    cancellation.addEventListener("abort", listener);
    return listener;
  };
  return { calls, listen };
}

describe("a cancellation", () => {
  it("calls each listener once, in the order of adding, however often it is aborted", () => {
    const cancellation = new Cancellation();
    const { calls, listen } = recorder(cancellation);
    cancellation.addEventListener("abort", listen("first"));
    listen("second");
    expect(cancellation.aborted).toBe(false);
    cancellation.abort();
    cancellation.abort();
    expect(calls).toEqual(["first", "second"]);
    expect(cancellation.aborted).toBe(true);
  });

  it("calls no listener that was removed, not even by an earlier listener", () => {
    const cancellation = new Cancellation();
    const { calls, listen } = recorder(cancellation);
    cancellation.removeEventListener("abort", listen("never"));
    cancellation.addEventListener("abort", () => cancellation.removeEventListener("abort", late));
    const late = listen("late");
    cancellation.abort();
    expect(calls).toEqual([]);
  });

  it("calls no listener that is added after the abort", () => {
    const cancellation = new Cancellation();
    cancellation.abort();
    const { calls, listen } = recorder(cancellation);
    listen("late");
    cancellation.abort();
    expect(calls).toEqual([]);
  });
});
