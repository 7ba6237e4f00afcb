/** Opens as spans: one trace of three services, at a collector that only listens. */
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { cleanUp, describeResult, mountSluice, plant, policyOf, requires, runScript, scratch } from "@sluice/testkit";
import { expect, test } from "vitest";

interface Attribute {
  key: string;
  value: Record<string, unknown>;
}
interface Sent {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  attributes: Attribute[];
  status: { code?: number; message?: string };
}
interface Seen extends Omit<Sent, "attributes"> {
  service: unknown;
  attributes: Record<string, unknown>;
}
interface Body {
  resourceSpans: { resource: { attributes: Attribute[] }; scopeSpans: { spans: Sent[] }[] }[];
}

const valuesOf = (attributes: Attribute[]): Record<string, unknown> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));

/** The bodies of requests to /v1/traces, as JSON. */
async function collector(): Promise<{ url: string; spans: Seen[] }> {
  const spans: Seen[] = [];
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    request.on("end", () => {
      if (request.url !== "/v1/traces") throw new Error(`posted to ${request.url}`);
      for (const { resource, scopeSpans } of (JSON.parse(text) as Body).resourceSpans) {
        const service = valuesOf(resource.attributes)["service.name"];
        for (const span of scopeSpans.flatMap((scope) => scope.spans))
          spans.push({ ...span, service, attributes: valuesOf(span.attributes) });
      }
      response.writeHead(200, { "content-type": "application/json" }).end("{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, spans };
}

const POLICY = policyOf("grant", { name: "keys", path: "**/*.pem", effect: "deny" });

const { test: mounting } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");

mounting("an open, its decision and the policy's evaluation are spans of one trace", async () => {
  const { url, spans } = await collector();
  const lower = plant(scratch(), { "a/file": "x", "id.pem": "k" });
  const mount = await mountSluice({ lowers: [lower], policy: POLICY, args: ["--tracing-endpoint", url, "--tracing-ratio", "1"] });
  const named = (name: string, path: string): Seen[] =>
    spans.filter((span) => span.name === name && span.attributes["sluice.path"] === path);
  const cached = (): Seen | undefined => named("fuse.open", "a/file").find(({ attributes }) => attributes["sluice.kept_answer"] === true);
  // A policy file that was written just now is read once more.
  await expect.poll(() => readFile(mount.path("a/file")).then(cached), { timeout: 30_000, interval: 200 }).toBeDefined();
  await expect(readFile(mount.path("id.pem"))).rejects.toThrow("EACCES");
  // The mount sends the remaining spans when it ends.
  await mount.stop();
  const childOf = ({ spanId, traceId }: Seen): Seen[] => spans.filter((span) => span.parentSpanId === spanId && span.traceId === traceId);

  const [first] = named("fuse.open", "a/file");
  if (first === undefined) throw new Error(`only these came: ${spans.map(({ name }) => name).join(", ")}`);
  expect(first).toMatchObject({ service: "sluice-mount", attributes: { "sluice.kept_answer": false, "sluice.flow": "passthrough" } });
  expect(first.parentSpanId ?? "").toBe("");
  const [decision] = childOf(first);
  expect(decision).toMatchObject({ name: "decision", service: "sluice-mount", attributes: { "sluice.effect": "grant" } });
  const [evaluation] = childOf(decision as Seen);
  expect(evaluation).toMatchObject({ name: "evaluation", service: "sluice-decision", attributes: { "sluice.rule": "default" } });
  expect(evaluation?.attributes["sluice.decision_id"]).toBe(decision?.attributes["sluice.decision_id"]);
  // The answer was cached, so the mount asked no service.
  expect(childOf(cached() as Seen)).toEqual([]);
  const [denied] = named("fuse.open", "id.pem");
  expect(denied).toMatchObject({ status: { code: 2, message: "EACCES" } });
  expect(childOf(denied as Seen)).toMatchObject([{ name: "decision", attributes: { "sluice.effect": "deny", "sluice.rule": "keys" } }]);
});

mounting("a collector that is not there costs no open, and is told of", async () => {
  const lower = plant(scratch(), { file: "x" });
  const args = ["--tracing-endpoint", "http://127.0.0.1:9", "--tracing-ratio", "1"];
  const mount = await mountSluice({ lowers: [lower], args });
  expect(await readFile(mount.path("file"), "utf8")).toBe("x");
  expect(await mount.stop()).toMatchObject({ code: 0 });
});

test("loads no module of OpenTelemetry's SDK if tracing is off", async () => {
  const script = `
    import { createRequire } from "node:module";
    import { createLogger, startTracing } from "@sluice/runtime";
    import "@sluice/service-mount/serve";
    import "@sluice/service-decision";
    const loaded = () => Object.keys(createRequire(import.meta.url).cache).filter((file) => /@opentelemetry.(sdk|exporter)/.test(file)).length;
    const before = loaded();
    const tracing = await startTracing("t", { endpoint: "http://127.0.0.1:9/v1/traces", ratio: 1 }, createLogger({ name: "t", level: "silent" }));
    await tracing.close();
    console.log(before, loaded() > 0);`;
  const result = await runScript([process.execPath, "--input-type=module", "-e", script]);
  expect(result.stdout, describeResult(result)).toBe("0 true\n");
});
