// Asks an instant query until its value is the wanted one, and fails if that does not happen in time. Prints the last value, or "none".
// One process for all attempts: each start of Node takes longer than the query. Usage: query-prometheus.mjs URL QUERY VALUE SECONDS
import { setTimeout as sleep } from "node:timers/promises";

const [url, query, wanted, seconds] = process.argv.slice(2);
const PAUSE_MS = 200;

/** Prometheus may not answer yet. */
async function valueOrError() {
  try {
    const response = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(query)}`, { signal: AbortSignal.timeout(5_000) });
    const { data } = await response.json();
    return data.result[0]?.value[1] ?? "none";
  } catch (error) {
    return String(error);
  }
}

let found = await valueOrError();
for (const endMs = Date.now() + 1_000 * Number(seconds); found !== wanted && Date.now() < endMs; ) {
  await sleep(PAUSE_MS);
  found = await valueOrError();
}
process.stdout.write(`${found}\n`);
process.exitCode = found === wanted ? 0 : 1;
