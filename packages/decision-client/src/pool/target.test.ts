import { DecisionError, plainQuestion as question } from "@sluice/decision-api";
import { describe, expect, it } from "vitest";
import { grantAllDecider, parseTarget } from "../index.js";

describe("targets", () => {
  it.each([
    ["unix:///run/x.sock", { kind: "unix", path: "/run/x.sock" }],
    ["unix:rel.sock", { kind: "unix", path: "rel.sock" }],
    ["dns:///decision:50051", { kind: "dns", host: "decision", port: 50051 }],
    ["decision:50051", { kind: "dns", host: "decision", port: 50051 }],
    ["10.0.0.1:1", { kind: "fixed", address: "10.0.0.1:1" }],
    ["[::1]:1", { kind: "fixed", address: "[::1]:1" }],
    [
      "unix:/a,b,10.0.0.1:1",
      {
        kind: "list",
        targets: [
          { kind: "unix", path: "/a,b" },
          { kind: "fixed", address: "10.0.0.1:1" },
        ],
      },
    ],
  ])("%s", (text, expected) => expect(parseTarget(text)).toEqual(expected));

  it.each(["", "unix:", "unix://run/x.sock", "decision", "decision:0", "decision:99999", "http://x:1", "a b:1"])(
    "rejects the target %j",
    (text) => {
      expect(() => parseTarget(text)).toThrow(DecisionError);
    },
  );
});

describe("no policy", () => {
  it("grants without asking", () => {
    const decider = grantAllDecider();
    expect(decider.decide(question(), undefined)).toMatchObject({ effect: "grant", source: "none" });
    expect(decider.capabilities()?.unconditionalGrant).toBe(true);
  });
});
