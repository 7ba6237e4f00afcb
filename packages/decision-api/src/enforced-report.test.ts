import { expect, test } from "vitest";
import { DecisionError } from "./domain.js";
import { type EnforcedDecisions, type EnforcedReport, enforcedReportFromProto, enforcedReportToProto } from "./enforced-report.js";
import * as wire from "./gen/sluice/decision/v1/decision.js";

const decisions: EnforcedDecisions = {
  effect: "deny",
  errno: 13,
  rule: "keys",
  reason: "rule 'keys' matches for read",
  decisionId: "d-1",
  source: "cache",
  operation: "open",
  accesses: ["read", "write"],
  path: "secrets/\xff\n",
  uid: 1000,
  pid: 42,
  program: "/usr/bin/c\xc3\xa4t",
  count: 3,
  sinceMs: 1_700_000_000_123,
};
const report: EnforcedReport = { decisions: [decisions], unnamed: [{ effect: "grant", rule: "default", count: 7 }], missed: 2 };

const overWire = (sent: wire.EnforcedReport): EnforcedReport =>
  enforcedReportFromProto(wire.EnforcedReport.decode(wire.EnforcedReport.encode(sent).finish()));

test("a report crosses the wire", () => {
  expect(overWire(enforcedReportToProto(report))).toEqual(report);
});

test("the sender truncates what is too long, and the receiver refuses it", () => {
  const long = {
    ...report,
    decisions: [{ ...decisions, path: "p".repeat(20_000), program: "x".repeat(20_000), reason: "r".repeat(20_000) }],
  };
  const sent = enforcedReportToProto(long);
  expect(overWire(sent).decisions[0]).toMatchObject({ path: "p".repeat(1_024), program: "x".repeat(1_024) });
  const [first] = sent.decisions as [wire.EnforcedDecisions];
  for (const wrong of [
    { ...sent, decisions: [{ ...first, path: Buffer.alloc(1_025) }] },
    { ...sent, decisions: [{ ...first, program: "x".repeat(1_025) }] },
    { ...sent, decisions: [{ ...first, sinceMs: 2n ** 63n }] },
    { ...sent, decisions: [{ ...first, count: 2n ** 53n }] },
    { ...sent, decisions: new Array<wire.EnforcedDecisions>(1_025).fill(first) },
    { ...sent, unnamed: new Array<wire.UnnamedDecisions>(1_025).fill({ effect: wire.Effect.DENY, rule: "r", count: 1n }) },
  ])
    expect(() => enforcedReportFromProto(wrong)).toThrow(DecisionError);
});

test("an unknown effect counts as a denial", () => {
  const sent = enforcedReportToProto(report);
  expect(
    overWire({ ...sent, decisions: [{ ...(sent.decisions[0] as wire.EnforcedDecisions), effect: 99 as wire.Effect }] }).decisions[0]
      ?.effect,
  ).toBe("deny");
});
