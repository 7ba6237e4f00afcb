// Policies that a web server delivers: each is fetched once, and an invalid one never takes effect.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { tarGz } from "@sluice/testkit";
import { afterAll, afterEach, beforeEach, expect, it } from "vitest";
import type { PolicyBackend } from "../backend.js";
import { openPolicyFile } from "../file-backend.js";
import { loadPolicyFile } from "../load-file.js";
import { NO_BACKEND_EVENTS } from "../policy-kind.js";
import { wholeQuestion } from "../testing/standard-policy.js";

const directory = mkdtempSync(join(tmpdir(), "sluice-bundle-"));
afterAll(() => rmSync(directory, { recursive: true }));

let server: Server;
let url = "";
let now: (request: IncomingMessage, response: ServerResponse) => void;
let asked: { etag: string | undefined; token: string | undefined; status: number }[] = [];
let backend: PolicyBackend | undefined;

const rules = (effect: string, revision = 0): string => `version: 1\nrevision: ${revision}\ndefault: ${effect}\n`;

beforeEach(async () => {
  asked = [];
  server = createServer((request, response) => {
    now(request, response);
    asked.push({ etag: request.headers["if-none-match"], token: request.headers.authorization, status: response.statusCode });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as { port: number }).port}/bundle`;
});
afterEach(async () => {
  await backend?.dispose();
  backend = undefined;
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

/** The server's content from now on. */
function put(bytes: Buffer | string, etag: string): void {
  now = ({ headers }, response) => {
    if (headers["if-none-match"] === etag) response.writeHead(304).end();
    else response.writeHead(200, { etag }).end(bytes);
  };
}

async function open(options = ""): Promise<PolicyBackend> {
  const file = join(directory, "policy.yaml");
  writeFileSync(file, `kind: bundle\nurl: ${url}\npoll: 20ms\n${options}`);
  backend = await openPolicyFile(file);
  return backend;
}
const effect = async (): Promise<string> => (await (backend as PolicyBackend).policy.evaluate(wholeQuestion())).effect;
/** Resolves when a refresh finds something. */
async function untilNews(): Promise<unknown> {
  for (;;) {
    const found = (backend as PolicyBackend).refresh();
    if (found.state !== "unchanged") return found;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

it("is fetched once for each version, and swapped as a whole", async () => {
  writeFileSync(join(directory, "token"), "s3cret\n");
  put(rules("mediate", 4), '"a"');
  const opened = await open("tokenFile: token\n");
  expect(opened.policy.revision).toMatchObject({ sequence: 4n });
  expect(await effect()).toBe("mediate");
  await expect.poll(() => asked.filter(({ status }) => status === 304).length).toBeGreaterThan(2);
  expect(asked.filter(({ status }) => status === 200)).toHaveLength(1);
  expect(asked.at(-1)).toMatchObject({ etag: '"a"', token: "Bearer s3cret" });
  const files = { ".manifest": '{"revision": "5"}', "/policy.yaml": "kind: cedar\npolicies: [a/b.cedar]\n", "a/b.cedar": "" };
  put(tarGz({ ...files, "a/b.cedar": "permit(principal, action, resource);" }), '"b"');
  expect(await untilNews()).toEqual({ state: "changed" });
  expect(opened.policy.revision.sequence).toBe(5n);
  expect(await effect()).toBe("grant");
});

it("warns if a token would go over plain HTTP to another machine, and only then", async () => {
  writeFileSync(join(directory, "token"), "s3cret\n");
  const warnings = async (url: string): Promise<string[]> => {
    const file = join(directory, "plain.yaml");
    writeFileSync(file, `kind: opa\nurl: "${url}"\ntokenFile: token\n`);
    const told: string[] = [];
    const { engine } = await loadPolicyFile(file, { ...NO_BACKEND_EVENTS, warned: ({ message }) => void told.push(message) });
    await engine.dispose();
    return told;
  };
  for (const url of ["http://opa.example:8181", "http://127.0.0.1.example"])
    expect(await warnings(url)).toEqual([
      expect.stringMatching(/plain.yaml:3:12: the token goes over plain HTTP: whoever is on the way reads it: write an https/) as string,
    ]);
  for (const url of ["https://opa.example", "http://127.0.0.1:8181", "http://localhost:1", "unix:///run/opa.sock"])
    expect(await warnings(url)).toEqual([]);
});

it("of one revision is the same one wherever it is fetched", async () => {
  put(rules("grant", 1), '"a"');
  const { revision } = (await open("timeout: 5s\n")).policy;
  const other = join(directory, "other.yaml");
  writeFileSync(other, `kind: bundle\nurl: ${url}?x\n`);
  const second = await openPolicyFile(other);
  expect(second.policy.revision).toEqual(revision);
  await second.dispose();
});

it("of a lower revision is kept out, also behind one without a number", async () => {
  put(rules("mediate", 2), '"a"');
  const opened = await open();
  put(rules("grant"), '"b"');
  expect(await untilNews()).toEqual({ state: "changed" });
  put(rules("deny", 1), '"c"');
  expect(await untilNews()).toMatchObject({ state: "failed" });
  expect(opened.failure?.message).toMatch(/revision 1 is lower than 2, which was in force/);
  expect(await effect()).toBe("grant");
});

it.each<[string, Buffer | string, RegExp]>([
  ["has a mistake", rules("grnt"), /bundle: policy\.yaml:3:10: .*did you mean 'grant'/],
  ["is larger than any", Buffer.alloc(100 * 1024 * 1024), /larger than 16777216 bytes/],
  ["unpacks to more than any", tarGz({ "policy.yaml": Buffer.alloc(70 * 1024 * 1024) }), /unpacks to more than/],
  ["is cut off", tarGz({ "policy.yaml": rules("deny") }).subarray(0, 60), /no gzip|broken/],
  ["is cut off behind a whole file", gzipSync(gunzipSync(tarGz({ "policy.yaml": rules("deny") })).subarray(0, 1024)), /archive is broken/],
  ["has files outside of it", tarGz({ "../policy.yaml": rules("deny") }), /holds a file '\.\./],
  ["holds links only", tarGz({ "policy.yaml": "" }, "2"), /does not hold it/],
  ["names a file of the machine", tarGz({ "policy.yaml": "kind: cedar\npolicies: /etc/passwd\n" }), /does not hold it/],
  ["is older", rules("deny", 3), /revision 3 is lower than 4/],
])("keeps a policy out that %s, and reports it", async (_, bytes, message) => {
  put(rules("mediate", 4), '"good"');
  const opened = await open();
  const { revision } = opened.policy;
  put(bytes, '"bad"');
  expect(await untilNews()).toMatchObject({ state: "failed" });
  expect(opened.failure?.message).toMatch(message);
  expect(opened.policy.revision).toEqual(revision);
  expect(await effect()).toBe("mediate");
  put(rules("deny", 5), '"repaired"');
  expect(await untilNews()).toEqual({ state: "changed" });
  expect(opened.failure).toBeUndefined();
  expect(await effect()).toBe("deny");
});

it("tries a refused one again while the server still has it, since its fault may pass", async () => {
  put(rules("mediate"), '"a"');
  const opened = await open();
  const other = { bytes: rules("grnt") };
  const otherUrl = `${url}-of-another`;
  now = ({ url: path, headers }, response) => {
    if (path?.endsWith("-of-another") === true) response.writeHead(200).end(other.bytes);
    else if (headers["if-none-match"] === '"b"') response.writeHead(304).end();
    else response.writeHead(200, { etag: '"b"' }).end(`kind: bundle\nurl: ${otherUrl}\n`);
  };
  expect(await untilNews()).toMatchObject({ state: "failed" });
  other.bytes = rules("deny");
  expect(await untilNews()).toEqual({ state: "changed" });
  expect([opened.failure, await effect()]).toEqual([undefined, "deny"]);
});

it.each([["a mistake", rules("grnt")] as const, ["too much", Buffer.alloc(17 * 1024 * 1024)] as const])(
  "forgets a refusal, of %s, when the policy in force is put there again",
  async (_, bytes) => {
    put(rules("mediate"), '"a"');
    const opened = await open();
    put(bytes, '"b"');
    expect(await untilNews()).toMatchObject({ state: "failed" });
    put(rules("mediate"), '"a"');
    await expect.poll(() => (opened.refresh(), opened.failure)).toBeUndefined();
    expect(await effect()).toBe("mediate");
  },
);

it("is refused if it is signed, unless it is told to skip the signatures", async () => {
  put(rules("mediate"), '"a"');
  const opened = await open();
  const signed = tarGz({ "policy.yaml": rules("deny"), ".signatures.json": '{"signatures": ["x.y.z"]}' });
  put(signed, '"b"');
  expect(await untilNews()).toMatchObject({ state: "failed" });
  expect(opened.failure?.message).toMatch(/bundle: the bundle has \.signatures\.json, which nothing here verifies: write skipVerify: true/);
  expect(await effect()).toBe("mediate");
  await opened.dispose();
  await open("skipVerify: true\n");
  expect(await effect()).toBe("deny");
});

it("keeps what it had while the server is away, breaks off, or sends elsewhere", async () => {
  put(rules("mediate"), '"a"');
  const opened = await open("timeout: 1s\n");
  for (const fault of [
    (_: IncomingMessage, response: ServerResponse) => void response.writeHead(503).end(),
    (_: IncomingMessage, response: ServerResponse) => void response.writeHead(200, { "content-length": "999" }).write("version: 1\n"),
    (request: IncomingMessage) => void request.socket.destroy(),
    (_: IncomingMessage, response: ServerResponse) => void response.writeHead(302, { location: "ftp://x/y" }).end(),
  ]) {
    now = fault;
    const before = asked.length;
    await expect.poll(() => asked.length).toBeGreaterThan(before + 1);
    expect(opened.refresh()).toEqual({ state: "unchanged" });
    expect(await effect()).toBe("mediate");
  }
  put(rules("deny"), '"b"');
  expect(await untilNews()).toEqual({ state: "changed" });
});

it("is refused if it may have been cut off, as an answer without a length and not in an archive", async () => {
  const send = (bytes: Buffer | string): void => {
    now = (_, response) => {
      response.removeHeader("transfer-encoding");
      response.useChunkedEncodingByDefault = false;
      response.writeHead(200, { connection: "close" }).end(bytes);
    };
  };
  put(rules("mediate"), '"a"');
  const opened = await open();
  send(`${rules("grant")}rules:\n`);
  expect(await untilNews()).toMatchObject({ state: "failed", error: { message: expect.stringContaining("has no Content-Length") } });
  expect(await effect()).toBe("mediate");
  send(tarGz({ "policy.yaml": rules("deny") }));
  expect(await untilNews()).toEqual({ state: "changed" });
  expect([opened.failure, await effect()]).toEqual([undefined, "deny"]);
});

it("fails to start if the server has no policy at all", async () => {
  put("version: 1\n", '"a"');
  await expect(open()).rejects.toThrow(/policy\.yaml:2:6: .*bundle: policy\.yaml:.*'default' is missing/);
});

it("tells nobody the password in an address but the server", async () => {
  put(rules("grant"), '"1"');
  const told: string[] = [];
  const file = join(directory, "password.yaml");
  writeFileSync(file, `kind: bundle\nurl: ${url.replace("//", "//user:s3cret@")}\npoll: 20ms\n`);
  backend = await openPolicyFile(file, { ...NO_BACKEND_EVENTS, sourceReached: (source) => void told.push(source) });
  expect(asked[0]?.token).toBe(`Basic ${Buffer.from("user:s3cret").toString("base64")}`);
  expect(told[0]).toBe(url);
});
