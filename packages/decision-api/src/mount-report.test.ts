import { expect, test } from "vitest";
import { DecisionError } from "./domain.js";
import * as wire from "./gen/sluice/decision/v1/decision.js";
import { type MountReport, mountReportFromProto, mountReportToProto } from "./mount-report.js";

const layer = { name: "lower0", path: "/l", fileSystem: "ext4", stackDepth: 0, passthrough: true, reason: "" };
const decidedBy = { rule: "r", decisionId: "d", sinceMs: 1_700_000_000_123, now: "deny" } as const;
const grant = { path: "a\xff", layer: "lower0", flow: "passthrough", write: true, uid: 1, pid: 2, ...decidedBy };
const operation = { operation: "OPEN", count: 9, errors: 1, tookUs: 1_234, worstUs: 80 };
const replica = { address: "unix:/d.sock", state: "ready", revision: { sequence: 7n, digest: "f".repeat(64) } };
const report: MountReport = {
  ...{ mountpoint: "/m", engine: "devfuse", protocol: "7.45", transport: "read", passthrough: true },
  ...{ layers: [layer], layerCount: 1, grants: [grant], grantCount: 1, openFiles: { passthrough: 1 } },
  ...{ uptimeMs: 5_000, operations: [operation, { ...operation, operation: "READ", worstUs: undefined }], opens: { mediated: 4 } },
  ...{ readBytes: 2 ** 40, writtenBytes: 0, server: { busy: 0.25, collecting: 0, pauseMs: 3.1, queued: undefined } },
  ...{ replicas: [replica, { ...replica, state: "backoff", revision: undefined }], replicaCount: 2, toldTo: "unix:/d.sock" },
};

const overWire = (sent: wire.MountReport): MountReport =>
  mountReportFromProto(wire.MountReport.decode(wire.MountReport.encode(sent).finish()));

test("a mount's report crosses the wire, unknown values included", () => {
  expect(overWire(mountReportToProto(report))).toEqual(report);
  expect(overWire(mountReportToProto({ ...report, server: undefined })).server).toBeUndefined();
});

test("a report of an older version has no counts, no replicas and no measures", () => {
  const { operations, replicas, uptimeMs, server } = overWire(wire.MountReport.fromPartial({ mountpoint: "/m" }));
  expect({ operations, replicas, uptimeMs, server }).toEqual({ operations: [], replicas: [], uptimeMs: 0, server: undefined });
});

test("the sender cuts its report to the limits, and the receiver refuses one beyond them", () => {
  const many = <Each>(each: Each): Each[] => new Array<Each>(1_000).fill(each);
  const long = "x".repeat(20_000);
  const cut = overWire(
    mountReportToProto({ ...report, operations: many(operation), replicas: many({ ...replica, address: long }), toldTo: long }),
  );
  expect([cut.operations.length, cut.replicas.length, cut.replicas[0]?.address.length, cut.toldTo.length]).toEqual([64, 32, 1_024, 1_024]);
  const sent = mountReportToProto(report);
  const [one] = sent.operations as [wire.OperationReport];
  const [known] = sent.replicas as [wire.ReplicaReport];
  const modes = Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`m${index}`, 1n]));
  const server = { busy: 0, collecting: 0, pauseMs: 0 };
  const beyond: Partial<wire.MountReport>[] = [
    { operations: many(one) },
    { operations: [{ ...one, operation: long }] },
    { operations: [{ ...one, worstUs: 2n ** 53n }] },
    { replicas: many(known) },
    { replicas: [{ ...known, state: long }] },
    { replicas: [{ ...known, revision: { sequence: 1n, digest: long } }] },
    { opens: modes },
    { readBytes: 2n ** 53n },
    { toldTo: long },
    { server: { ...server, busy: Number.NaN } },
    { server: { ...server, pauseMs: Number.POSITIVE_INFINITY } },
  ];
  for (const wrong of beyond) expect(() => overWire({ ...sent, ...wrong }), Object.keys(wrong).join()).toThrow(DecisionError);
});
