/** The metrics of all mounts of this process, each value with the label `mount`, and those of the process itself. */
import type { AdminServer } from "@sluice/runtime";
import { openAdminPort } from "../serve/open-listeners.js";
import { type HotMetric, type MetricSnapshot, readMetric } from "../telemetry/hot-metrics.js";
import { MountTelemetry } from "../telemetry/mount-telemetry.js";
import type { HostedMounts } from "./hosted-mounts.js";

async function snapshots(mounts: HostedMounts, name: string): Promise<{ mount: string; snapshot: MetricSnapshot }[]> {
  const of = mounts.all().flatMap(({ mount: { parts } }) => {
    const metric = parts?.telemetry.metrics().find((each) => each.name === name);
    return parts === undefined || metric === undefined ? [] : [{ mount: parts.config.name, metric }];
  });
  return Promise.all(of.map(async ({ mount, metric }) => ({ mount, snapshot: await metric.get() })));
}

function ofAll(mounts: HostedMounts, { name }: HotMetric, empty: MetricSnapshot): HotMetric {
  return {
    name,
    get: async () => {
      const all = await snapshots(mounts, name);
      const values = all.flatMap(({ mount, snapshot }) =>
        snapshot.values.map((value) => ({ ...value, labels: { mount, ...value.labels } })),
      );
      return { ...empty, values };
    },
    reset: () => undefined,
  };
}

export interface HostAdmin {
  address: string;
  /** As of the admin server. */
  notReady(): string | undefined;
  /** This process takes over from another one. */
  isNext: boolean;
}

/** @throws CliError if the address cannot be used */
export async function startHostAdmin(mounts: HostedMounts, { address, notReady, isNext }: HostAdmin): Promise<AdminServer> {
  const { createRegistry } = await import("@sluice/runtime/metrics");
  const registry = createRegistry(true);
  for (const metric of new MountTelemetry().metrics()) {
    registry.registerMetric(ofAll(mounts, metric, await metric.get()) as never);
  }
  const served = readMetric("sluice_host_mounts", "Mounts that this process serves", "gauge", () => [
    { labels: {}, value: mounts.all().length },
  ]);
  registry.registerMetric(served as never);
  return openAdminPort({ address, registry, notReady }, isNext);
}
