/** Sums of a service's /metrics. */
import { createServer } from "node:net";

export function freeAddress(): Promise<string> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(`127.0.0.1:${port}`));
    });
  });
}

/** The sum over the series of `name` whose labels contain `label` (`source="cache"`); over all of them without a label. */
export async function metric(address: string, name: string, label = ""): Promise<number> {
  const text = await (await fetch(`http://${address}/metrics`)).text();
  return text
    .split("\n")
    .filter((line) => new RegExp(`^${name}[{ ]`).test(line) && line.includes(label))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}
