import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Cerbos, cerbosPolicyFile, STANDARD_CERBOS, startCerbos } from "@sluice/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { PolicyBackend } from "../backend.js";
import { backendContract } from "../contract-suite.js";
import { wholeQuestion } from "../testing/standard-policy.js";
import { openPolicyFile } from "../file-backend.js";

const directory = mkdtempSync(join(tmpdir(), "sluice-authzen-"));
afterAll(() => rmSync(directory, { recursive: true }));
let files = 0;
function file(text: string): string {
  const path = join(directory, `policy${files++}.yaml`);
  writeFileSync(path, text);
  return path;
}

describe("with the Cerbos server", () => {
  let cerbos: Cerbos;
  beforeAll(async () => {
    cerbos = await startCerbos(directory, STANDARD_CERBOS);
  }, 90_000);
  afterAll(() => cerbos?.stop());
  backendContract("authzen", () => openPolicyFile(file(cerbosPolicyFile(cerbos.url))));
});

/** A policy decision point for the test: the answer of each path. */
type Point = Record<string, (body: never) => { status?: number; body: unknown; delayMs?: number }>;

describe("authzen", () => {
  let server: Server;
  let asked: { path: string; body: unknown; headers: IncomingMessage["headers"] }[] = [];
  let point: Point = {};
  let url = "";
  const opened: PolicyBackend[] = [];

  beforeEach(async () => {
    asked = [];
    point = {};
    server = createServer((request, response) => {
      let text = "";
      request.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      request.on("end", () => {
        const body: unknown = text === "" ? undefined : JSON.parse(text);
        asked.push({ path: request.url ?? "", body, headers: request.headers });
        const answer = point[request.url ?? ""]?.(body as never) ?? { status: 404, body: "not here" };
        setTimeout(() => {
          response.writeHead(answer.status ?? 200, { "content-type": "application/json" });
          response.end(JSON.stringify(answer.body));
        }, answer.delayMs ?? 0);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address() as { port: number };
    url = `http://127.0.0.1:${address.port}`;
  });
  afterEach(async () => {
    for (const backend of opened.splice(0)) await backend.dispose();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  async function open(options = ""): Promise<PolicyBackend["policy"]> {
    const backend = await openPolicyFile(file(`kind: authzen\nurl: ${url}\n${options}`));
    opened.push(backend);
    return backend.policy;
  }
  const allowAll: Point = {
    "/access/v1/evaluations": ({ evaluations }: { evaluations: unknown[] }) => ({
      body: { evaluations: evaluations.map(() => ({ decision: true })) },
    }),
    "/access/v1/evaluation": () => ({ body: { decision: true } }),
  };

  it("asks both questions in one request, with what the question holds, and many questions together", async () => {
    point = allowAll;
    writeFileSync(join(directory, "token"), "s3cret\n");
    const policy = await open("tokenFile: token\n");
    await Promise.all([policy.evaluate(wholeQuestion({ paths: ["x/\xff"] })), policy.evaluate(wholeQuestion({ paths: [""] }))]);
    expect(asked).toHaveLength(1);
    expect(asked[0]?.headers["authorization"]).toBe("Bearer s3cret");
    const { evaluations } = (asked[0] as { body: unknown }).body as {
      evaluations: { action: unknown; subject: unknown; resource: { id: string } }[];
    };
    expect(evaluations).toHaveLength(4);
    expect(evaluations[0]).toMatchObject({
      subject: { type: "user", id: "1000", properties: { uid: 1000, groups: [] } },
      action: { name: "open", properties: { access: "read" } },
      resource: { type: "file", id: "/x/\0ff", properties: { size: 10, layer: "lower0" } },
      context: { access: "read" },
    });
    expect(evaluations[1]?.action).toMatchObject({ name: "passthrough" });
    expect(evaluations[2]?.resource.id).toBe("/");
  });

  it("puts into one request only what agrees on subject, resource and context", async () => {
    point = allowAll;
    const policy = await open();
    const { subject } = wholeQuestion();
    await Promise.all([
      policy.evaluate(wholeQuestion({ accesses: ["read", "write"] })),
      policy.evaluate(wholeQuestion({ subject: { ...subject, executable: "/usr/bin/other" } })),
      policy.evaluate(wholeQuestion({ paths: ["b"] })),
    ]);
    const requests = asked.map(
      ({ body }) => (body as { evaluations: { context: unknown; subject: unknown; resource: { id: string } }[] }).evaluations,
    );
    expect(requests.map((each) => each.length).sort((a, b) => a - b)).toEqual([2, 2, 4]);
    for (const each of requests) {
      expect(new Set(each.map(({ context }) => JSON.stringify(context))).size).toBe(1);
      expect(new Set(each.map(({ subject: who }) => JSON.stringify(who))).size).toBe(1);
    }
  });

  it("asks one by one where the point knows no more", async () => {
    point = { "/access/v1/evaluation": (body: { action: { name: string } }) => ({ body: { decision: body.action.name === "open" } }) };
    const policy = await open();
    expect(await policy.evaluate(wholeQuestion())).toMatchObject({ effect: "mediate", rule: "no-passthrough" });
    expect(await policy.evaluate(wholeQuestion())).toMatchObject({ effect: "mediate" });
    expect(asked.filter(({ path }) => path === "/access/v1/evaluations")).toHaveLength(1);
  });

  it("never caches an answer, and gives the obligations and reasons of the point", async () => {
    point = {
      "/access/v1/evaluations": () => ({
        body: {
          evaluations: [
            {
              decision: true,
              context: {
                obligations: [
                  { id: "1", type: "sluice", properties: { readBytesPerSecond: 5 } },
                  { id: "2", type: "step-up" },
                ],
              },
            },
            { decision: false, context: { reason: "metered" } },
          ],
        },
      }),
    };
    const ruling = await (await open()).evaluate(wholeQuestion());
    expect(ruling).toMatchObject({
      effect: "mediate",
      reason: "metered",
      obligations: [
        { name: "readBytesPerSecond", value: "5" },
        { name: "step-up", value: "{}" },
      ],
    });
    expect(ruling.scope).toBeUndefined();
  });

  it.each([
    ["a failure", { status: 500, body: "broken" }, /HTTP 500: broken/],
    ["fewer answers than questions", { body: { evaluations: [{ decision: true }] } }, /did not answer each question/],
    ["no decision", { body: { evaluations: [{ decision: "true" }, {}] } }, /without a decision/],
    [
      "obligations that are no list",
      { body: { evaluations: [{ decision: true, context: { obligations: { type: "sluice" } } }, { decision: true }] } },
      /'obligations' that are no list/,
    ],
    ["something else", { body: 7 }, /did not answer each question/],
  ])("takes %s for no answer", async (_, answer, message) => {
    point = { "/access/v1/evaluations": () => answer };
    await expect((await open()).evaluate(wholeQuestion())).rejects.toThrow(message);
  });

  it("gives up on a point that is slow, and on one that is not there", async () => {
    point = { "/access/v1/evaluations": () => ({ body: {}, delayMs: 5_000 }) };
    await expect((await open("timeout: 50ms\n")).evaluate(wholeQuestion())).rejects.toThrow(/did not answer within 50 ms/);
    const nobody = await openPolicyFile(file(`kind: authzen\nurl: unix://${directory}/nobody.sock\n`));
    opened.push(nobody);
    await expect(nobody.policy.evaluate(wholeQuestion())).rejects.toThrow(/cannot be asked/);
  });

  it("takes the endpoints from the point's own configuration, if it is the intended one", async () => {
    point = {
      "/.well-known/authzen-configuration": () => ({ body: { policy_decision_point: url, access_evaluation_endpoint: `${url}/one` } }),
      "/one": () => ({ body: { decision: true } }),
    };
    expect(await (await open("discover: true\n")).evaluate(wholeQuestion())).toMatchObject({ effect: "grant" });
    point["/.well-known/authzen-configuration"] = () => ({
      body: { policy_decision_point: "http://evil", access_evaluation_endpoint: "http://evil/one" },
    });
    await expect(open("discover: true\n")).rejects.toThrow(/:3:11: it says that it is 'http:\/\/evil'/);
  });

  it("names the place of a mistake, with the likely intention", async () => {
    await expect(open('subject: { id: "${subject.udi}" }\n')).rejects.toThrow(
      /:3:10: '\$\{subject.udi\}' is no fact: did you mean 'subject.uid'\?/,
    );
    await expect(open("timeout: 5\n")).rejects.toThrow(/:3:10: 'timeout' is not a string: write a whole number and ms, s, m or h/);
    await expect(openPolicyFile(file("kind: autzen\nurl: x\n"))).rejects.toThrow(
      /:1:7: 'autzen' is no kind of policy: did you mean 'authzen'\?/,
    );
    await expect(openPolicyFile(file("kind: authzen\nurl: localhost\n"))).rejects.toThrow(/:2:6: 'url' is not valid: write http:/);
  });
});
