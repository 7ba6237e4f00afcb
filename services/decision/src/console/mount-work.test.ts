import type { MountReport } from "@sluice/decision-api";
import { expect, test } from "vitest";
import { workBetween } from "./mount-work.js";

const report: MountReport = {
  mountpoint: "/m",
  engine: "devfuse",
  protocol: "7.45",
  transport: "read",
  passthrough: true,
  layers: [],
  layerCount: 0,
  grants: [],
  grantCount: 0,
  openFiles: {},
  uptimeMs: 10_000,
  operations: [{ operation: "OPEN", count: 5, errors: 1, tookUs: 500, worstUs: undefined }],
  opens: { passthrough: 4 },
  readBytes: 100,
  writtenBytes: 7,
  server: undefined,
  replicas: [],
  replicaCount: 0,
  toldTo: "",
};

test("the work between two reports has rates of its own, and names the operations that took the most time first", () => {
  const now: MountReport = {
    ...report,
    uptimeMs: 12_000,
    operations: [
      { operation: "OPEN", count: 9, errors: 2, tookUs: 900, worstUs: 80 },
      { operation: "READ", count: 1, errors: 0, tookUs: 5_000, worstUs: undefined },
    ],
    opens: { passthrough: 6, mediated: 2 },
    readBytes: 4_196,
  };
  expect(workBetween(report, now)).toEqual({
    seconds: 2,
    operations: [
      { operation: "READ", count: 1, errors: 0, tookUs: 5_000, worstUs: undefined },
      { operation: "OPEN", count: 4, errors: 1, tookUs: 400, worstUs: 80 },
    ],
    opens: { passthrough: 2, mediated: 2 },
    readBytes: 4_096,
    writtenBytes: 0,
  });
  // An operation without a request since is not named.
  expect(workBetween(report, { ...report, uptimeMs: 12_000 })?.operations).toEqual([]);
});

test("a mount without counts, of an older version, tells no work", () => {
  expect(workBetween({ ...report, uptimeMs: 0 }, { ...report, uptimeMs: 0 })).toBeUndefined();
});
