/** The work of a mount between two of its reports. */
import type { MountReport, OperationReport } from "@sluice/decision-api";

export interface MountWork {
  seconds: number;
  /** Those that took time, the longest together first. */
  operations: OperationReport[];
  /** Allowed opens by how their bytes flow. */
  opens: Record<string, number>;
  readBytes: number;
  writtenBytes: number;
}

/** Undefined if the mount tells no counts: it is of an older version. */
export function workBetween(before: MountReport, now: MountReport): MountWork | undefined {
  const elapsedMs = now.uptimeMs - before.uptimeMs;
  if (elapsedMs <= 0) return undefined;
  const was = new Map(before.operations.map((each) => [each.operation, each]));
  const operations = now.operations.map(({ operation, count, errors, tookUs, worstUs }) => {
    const { count: counted, errors: failed, tookUs: took } = was.get(operation) ?? { count: 0, errors: 0, tookUs: 0 };
    return { operation, count: count - counted, errors: errors - failed, tookUs: tookUs - took, worstUs };
  });
  return {
    seconds: elapsedMs / 1000,
    operations: operations.filter(({ count }) => count > 0).sort((one, other) => other.tookUs - one.tookUs),
    opens: Object.fromEntries(Object.entries(now.opens).map(([flow, count]) => [flow, count - (before.opens[flow] ?? 0)])),
    readBytes: now.readBytes - before.readBytes,
    writtenBytes: now.writtenBytes - before.writtenBytes,
  };
}
