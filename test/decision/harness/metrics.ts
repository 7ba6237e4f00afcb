/** Sums of a service's /metrics. */
import { freePort } from "@sluice/testkit";

export const freeAddress = async (): Promise<string> => `127.0.0.1:${await freePort()}`;

/** The sum over the series of `name` whose labels contain `label` (`source="cache"`); over all of them without a label. */
export async function metric(address: string, name: string, label = ""): Promise<number> {
  const text = await (await fetch(`http://${address}/metrics`)).text();
  return text
    .split("\n")
    .filter((line) => new RegExp(`^${name}[{ ]`).test(line) && line.includes(label))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}
