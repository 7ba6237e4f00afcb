import { createRegistry } from "@sluice/runtime/metrics";
import { decisionOf } from "@sluice/testkit";
import { Errno } from "@sluice/vfs";
import { expect, test } from "vitest";
import { MountTelemetry } from "./mount-telemetry.js";

test("a scrape shows what was counted, in Prometheus' own words", async () => {
  const telemetry = new MountTelemetry();
  telemetry.decided(decisionOf("grant"), 2);
  telemetry.request("LOOKUP", 2, 20);
  telemetry.request("LOOKUP", 0, 20_000);
  telemetry.fallbacks.add("stack-depth");
  telemetry.openFiles.add("passthrough", 1);
  telemetry.copyUp(1000, 1);
  telemetry.recalled({ ...decisionOf("deny"), source: "cache" });
  telemetry.cacheStatus = () => ({ entries: 3, bytes: 900, hits: 5, misses: 4, uncacheable: 1, evictions: 0, invalidations: 2 });
  telemetry.idlePolledMs = () => 1500;
  telemetry.people = () => ({ waiting: 4, crowdedOut: 5 });
  telemetry.revoked = () => ({ passing: 2, refused: 3 });
  const registry = createRegistry(false);
  for (const metric of telemetry.metrics()) registry.registerMetric(metric as never);
  const lines = (await registry.metrics()).split("\n");
  expect(lines).toEqual(
    expect.arrayContaining([
      "# TYPE sluice_decisions_total counter",
      'sluice_decisions_total{effect="grant",source="service"} 1',
      'sluice_requests_total{operation="LOOKUP",errno="ENOENT"} 1',
      'sluice_request_duration_seconds_bucket{operation="LOOKUP",le="0.000025"} 1',
      'sluice_request_duration_seconds_bucket{operation="LOOKUP",le="0.025"} 2',
      'sluice_request_duration_seconds_bucket{operation="LOOKUP",le="+Inf"} 2',
      'sluice_request_duration_seconds_count{operation="LOOKUP"} 2',
      'sluice_passthrough_fallbacks_total{reason="stack-depth"} 1',
      'sluice_open_files{mode="passthrough"} 1',
      "sluice_person_waits 4",
      "sluice_person_waits_refused_total 5",
      'sluice_revoked_opens{how="passing"} 2',
      'sluice_revoked_opens{how="refused"} 3',
      "sluice_copy_up_bytes_total 1000",
      "sluice_copy_up_duration_seconds_count 1",
      'sluice_decisions_total{effect="deny",source="cache"} 1',
      `sluice_rule_decisions_total{rule="${decisionOf("deny").rule}",effect="deny"} 1`,
      "sluice_decision_cache_entries 3",
      "sluice_decision_cache_hits_total 5",
      "sluice_decision_cache_misses_total 4",
      "sluice_idle_polling_seconds_total 1.5",
    ]),
  );
});

test("names and attributes that do not exist, and opens that the kernel repeats, are no errors", () => {
  const telemetry = new MountTelemetry();
  for (const [operation, errno] of [
    ["LOOKUP", Errno.ENOENT],
    ["GETXATTR", Errno.ENODATA],
    ["GETXATTR", Errno.EACCES],
    ["OPEN", Errno.ESTALE],
    ["OPEN", Errno.ENOENT],
    ["OPEN", 0],
  ] as const)
    telemetry.request(operation, errno, 1);
  const errors = Object.entries(telemetry.requests()).map(([operation, counts]) => [operation, counts.errors]);
  expect(errors).toEqual([
    ["LOOKUP", 0],
    ["GETXATTR", 1],
    ["OPEN", 1],
  ]);
});
