// Prints the value of an instant query, or "none".
const [url, query] = process.argv.slice(2);
const response = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(query)}`, { signal: AbortSignal.timeout(5_000) });
const { data } = await response.json();
process.stdout.write(`${data.result[0]?.value[1] ?? "none"}\n`);
