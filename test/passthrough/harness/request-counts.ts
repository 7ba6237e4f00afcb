/**
 * The number of requests of some kinds that a mount has received, by its metrics. It must be mounted with --admin 127.0.0.1:0.
 */
import { eventually, type SluiceMount } from "@sluice/testkit";

export const WITH_METRICS = ["--admin", "127.0.0.1:0"] as const;

export async function requestsOf(mount: SluiceMount, ...operations: string[]): Promise<number> {
  const address = (): string | undefined => /"admin":"([^"]+)"/.exec(mount.log())?.[1];
  await eventually("the log names the admin address", 30_000, () => address() !== undefined);
  const text = await (await fetch(`http://${address()}/metrics`)).text();
  const line = new RegExp(`^sluice_requests_total\\{[^}]*operation="(?:${operations.join("|")})"[^}]*\\} (\\d+)`, "gm");
  return [...text.matchAll(line)].reduce((sum, match) => sum + Number(match[1]), 0);
}
