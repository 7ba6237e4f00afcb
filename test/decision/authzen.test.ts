/**
 * The decision service as a PDP of AuthZEN 1.0: the cases of the specification's Basic and Batch profiles, and the shared
 * suite of all backends, through our own client of AuthZEN.
 */
import { request } from "node:http";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type DecisionService, startDecisionService } from "@sluice/service-decision";
import { cleanUp, scratch } from "@sluice/testkit";
import { beforeAll, describe, expect, it } from "vitest";
import { backendContract } from "../../packages/policy-backends/src/contract-suite.js";
import { openPolicyFile } from "../../packages/policy-backends/src/file-backend.js";
import { anything, STANDARD_POLICY, wholeQuestion } from "../../packages/policy-backends/src/testing/standard-policy.js";

async function serve(policy: string, token?: string): Promise<DecisionService> {
  const directory = scratch();
  writeFileSync(join(directory, "policy.yaml"), policy);
  const service = await startDecisionService({
    policy: join(directory, "policy.yaml"),
    listen: { kind: "unix", path: join(directory, "d.sock") },
    authzen: { address: "127.0.0.1:0", token },
  });
  cleanUp(() => service.drain(100));
  return service;
}

describe("a PDP with our own client", () => {
  backendContract("authzen", async () => {
    const { authzenUrl } = await serve(STANDARD_POLICY);
    const file = join(scratch(), "client.yaml");
    writeFileSync(
      file,
      `kind: authzen\nurl: ${authzenUrl}\ndiscover: true\ntimeout: 20s\nneeds: { groups: true, executable: true, cgroup: true, xattrs: [user.class] }\n`,
    );
    return openPolicyFile(file);
  });
});

it("hears from our own client that a mount has no labels", async () => {
  const { authzenUrl } = await serve(POLICY);
  const file = join(scratch(), "client.yaml");
  writeFileSync(file, `kind: authzen\nurl: ${authzenUrl}\ntimeout: 20s\nneeds: { groups: true }\n`);
  const backend = await openPolicyFile(file);
  cleanUp(() => backend.dispose());
  const asked = (labels?: Record<string, string>) =>
    backend.policy.evaluate(
      wholeQuestion({ resource: { ...anything, paths: ["labelled/a"], ...(labels === undefined ? {} : { labels }) } }),
    );
  expect(await asked()).toMatchObject({ effect: "grant" });
  expect(await asked({ env: "prod" })).toMatchObject({ effect: "deny", rule: "labelled" });
});

it("takes a forbidding policy of Cedar that tests the mount to match if the request does not say it", async () => {
  const text = 'permit(principal, action, resource); @id("m") forbid(principal, action, resource) when { resource.mount == "prod" };';
  const directory = scratch();
  writeFileSync(join(directory, "mount.cedar"), text);
  const { authzenUrl } = await serve(`kind: cedar\npolicies: ${join(directory, "mount.cedar")}\nthreads: 1\n`);
  const says = async (properties: object): Promise<unknown> => {
    const body = JSON.stringify({ subject: alice, action: read, resource: { ...record, properties } });
    const reply = await fetch(`${authzenUrl}/access/v1/evaluation`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    return reply.json();
  };
  expect(await says({ mount: "test" })).toMatchObject({ decision: true });
  expect(await says({})).toMatchObject({ decision: false, context: { rule: "m" } });
});

interface Reply {
  status: number;
  body: unknown;
  headers: Record<string, unknown>;
}
type Sent = { path?: string; method?: string; body?: unknown; raw?: string | Buffer; headers?: Record<string, string> };

const POLICY = `version: 1
revision: 7
default: grant
rules:
  - { name: records, path: "records/**", access: [write], subject: { uid: 2000 }, effect: deny }
  - { name: metered, path: "media/**", effect: mediate, obligations: { readBytesPerSecond: 100 } }
  - { name: frozen, path: "frozen/**", effect: grant, obligations: { readOnly: true } }
  - { name: big, path: "sized/**", when: "resource.size > 10", effect: deny }
  - { name: staff, path: "staff/**", when: "!(7 in subject.groups)", effect: deny }
  - { name: labelled, path: "labelled/**", when: "resource.label['env'] == 'prod'", effect: deny }
  - { name: programs, path: "data/**", when: "resource.head.startsWith('\\x7fELF')", effect: deny }
`;
const alice = { type: "user", id: "1000", properties: { gid: 1000, groups: [7] } };
const bob = { type: "user", id: "2000" };
const record = { type: "file", id: "/records/1" };
const read = { name: "read" };
const write = { name: "write" };

describe("a PDP of AuthZEN", () => {
  let url: URL;
  beforeAll(async () => {
    url = new URL((await serve(POLICY)).authzenUrl as string);
  });

  const send = ({ path = "/access/v1/evaluation", method = "POST", body, raw, headers = {} }: Sent, at = url): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const asked = request({
        host: at.hostname,
        port: at.port,
        path,
        method,
        headers: { "content-type": "application/json", ...headers },
      });
      asked.on("error", reject);
      asked.on("response", (response) => {
        let text = "";
        response.on("data", (chunk: Buffer) => {
          text += chunk.toString();
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text), headers: response.headers }));
      });
      asked.end(raw ?? (body === undefined ? undefined : JSON.stringify(body)));
    });
  const many = (body: unknown): Promise<Reply> => send({ path: "/access/v1/evaluations", body });
  const decisionsOf = ({ body }: Reply): boolean[] =>
    (body as { evaluations: { decision: boolean }[] }).evaluations.map(({ decision }) => decision);

  describe("of the Basic profile", () => {
    it.each<[string, unknown, boolean]>([
      ["alice reads", { subject: alice, action: read, resource: record }, true],
      ["alice writes", { subject: alice, action: write, resource: record }, true],
      ["bob reads", { subject: bob, action: read, resource: record }, true],
      ["bob writes", { subject: bob, action: write, resource: record }, false],
      ["bob writes elsewhere", { subject: bob, action: write, resource: { ...record, id: "/other/1" } }, true],
      [
        "by a property",
        { subject: { type: "user", id: "bob@example.com", properties: { uid: 2000 } }, action: write, resource: record },
        false,
      ],
      ["an unknown subject", { subject: { type: "user", id: "bob" }, action: read, resource: record }, false],
      ["a subject of another type", { subject: { type: "device", id: "1000" }, action: read, resource: record }, false],
      ["a resource of another type", { subject: alice, action: read, resource: { type: "todo", id: "/records/1" } }, false],
      ["an action that nobody knows", { subject: alice, action: { name: "can_delete_user" }, resource: record }, false],
      [
        "keys that nobody knows",
        { subject: { ...alice, shoe: 1 }, action: read, resource: record, hat: [], context: { time: "now" } },
        true,
      ],
      [
        "passthrough of what is mediated",
        { subject: alice, action: { name: "passthrough" }, resource: { type: "file", id: "/media/a" } },
        false,
      ],
      ["opening it", { subject: alice, action: { name: "open" }, resource: { type: "file", id: "/media/a" } }, true],
      ["a size that is not said", { subject: alice, action: read, resource: { type: "file", id: "/sized/a" } }, false],
      ["one that is", { subject: alice, action: read, resource: { type: "file", id: "/sized/a", properties: { size: 3 } } }, true],
      ["groups that are not said", { subject: bob, action: read, resource: { type: "file", id: "/staff/a" } }, false],
      ["groups that are", { subject: alice, action: read, resource: { type: "file", id: "/staff/a" } }, true],
      ["labels that are not said", { subject: alice, action: read, resource: { type: "file", id: "/labelled/a" } }, false],
      [
        "labels that are, without the one of the rule",
        { subject: alice, action: read, resource: { type: "file", id: "/labelled/a", properties: { label: { team: "a" } } } },
        true,
      ],
      ["content that is not told", { subject: alice, action: read, resource: { type: "file", id: "/data/a" } }, false],
      ...(
        [
          ["content that is", { head: "7f454c46", size: 4 }, false],
          ["content of another kind", { head: "23212f", size: 3 }, true],
          ["content that may go on", { head: "23212f" }, false],
        ] as const
      ).map(([name, properties, decision]): [string, object, boolean] => [
        name,
        { subject: alice, action: read, resource: { type: "file", id: "/data/a", properties } },
        decision,
      ]),
    ])("%s", async (_, body, decision) => {
      expect(await send({ body })).toMatchObject({ status: 200, body: { decision } });
    });

    it("says no to a change under readOnly, and yes to a read", async () => {
      const answerTo = async (action: object): Promise<unknown> =>
        (await send({ body: { subject: alice, action, resource: { type: "file", id: "/frozen/a" } } })).body;
      expect(await answerTo(write)).toMatchObject({ decision: false, context: { effect: "deny", rule: "frozen" } });
      expect(await answerTo(read)).toMatchObject({ decision: true, context: { effect: "grant", rule: "frozen" } });
    });

    it("tells the reason, the rule and the revision, and the obligation", async () => {
      const { body } = await send({ body: { subject: alice, action: { name: "open" }, resource: { type: "file", id: "/media/a" } } });
      expect(body).toMatchObject({
        decision: true,
        context: {
          effect: "mediate",
          rule: "metered",
          revision: { sequence: "7" },
          obligations: [{ type: "sluice", properties: { readBytesPerSecond: "100" } }],
        },
      });
    });

    it.each<[string, Sent]>([
      ["no subject", { body: { action: read, resource: record } }],
      ["no action", { body: { subject: alice, resource: record } }],
      ["no resource", { body: { subject: alice, action: read } }],
      ["a subject without a type", { body: { subject: { id: "1" }, action: read, resource: record } }],
      ["a subject without an id", { body: { subject: { type: "user" }, action: read, resource: record } }],
      ["an action without a name", { body: { subject: alice, action: {}, resource: record } }],
      ["a resource without an id", { body: { subject: alice, action: read, resource: { type: "file" } } }],
      ["an id that is a number", { body: { subject: { type: "user", id: 1000 }, action: read, resource: record } }],
      ["a context that is a text", { body: { subject: alice, action: read, resource: record, context: "x" } }],
      ["properties that are a list", { body: { subject: { ...bob, properties: [] }, action: read, resource: record } }],
      ["groups that are texts", { body: { subject: { ...bob, properties: { groups: ["wheel"] } }, action: read, resource: record } }],
      ["a path upwards", { body: { subject: alice, action: read, resource: { type: "file", id: "/records/../x" } } }],
      ["a path that is relative", { body: { subject: alice, action: read, resource: { type: "file", id: "x" } } }],
      ["a path of 16 KiB and more", { body: { subject: alice, action: read, resource: { type: "file", id: `/${"x".repeat(17_000)}` } } }],
      ["a list", { body: [] }],
      ["no JSON", { raw: "{" }],
      ["bytes that are no UTF-8", { raw: Buffer.from([0x22, 0xff, 0x22]) }],
      ["another type of content", { body: { subject: alice, action: read, resource: record }, headers: { "content-type": "text/plain" } }],
      ["another method", { method: "GET" }],
      ["half of a character", { body: { subject: alice, action: read, resource: { ...record, id: "/half\ud800" } } }],
      ["more than a megabyte", { raw: JSON.stringify({ x: "x".repeat(1_100_000) }) }],
    ])("refuses %s, and lives on", async (_, sent) => {
      const { status, body } = await send(sent);
      expect([400, 405, 413]).toContain(status);
      expect(typeof body).toBe("string");
      expect((await send({ body: { subject: alice, action: read, resource: record } })).status).toBe(200);
    });

    it("returns the request's id, and tells its endpoints", async () => {
      const body = { subject: alice, action: read, resource: record };
      expect((await send({ body, headers: { "x-request-id": "r-1" } })).headers["x-request-id"]).toBe("r-1");
      const base = url.href.replace(/\/$/, "");
      expect(await send({ path: "/.well-known/authzen-configuration", method: "GET" })).toMatchObject({
        status: 200,
        body: {
          policy_decision_point: base,
          access_evaluation_endpoint: `${base}/access/v1/evaluation`,
          access_evaluations_endpoint: `${base}/access/v1/evaluations`,
        },
      });
      expect((await send({ path: "/access/v1/search/subject", body })).status).toBe(404);
    });
  });

  describe("of the Batch profile", () => {
    const four = [{ subject: alice }, { subject: bob }, { subject: bob, action: read }, { subject: { type: "user" } }];

    it("applies shared members to all evaluations, and answers in the order asked", async () => {
      const reply = await many({ action: write, resource: record, evaluations: four });
      expect(decisionsOf(reply)).toEqual([true, false, true, false]);
      expect(reply.body).toMatchObject({
        evaluations: [{}, {}, {}, { context: { error: { status: 400, message: "'subject.id' is missing or no text" } } }],
      });
    });

    it.each<[string, boolean[]]>([
      ["execute_all", [true, false, true, false]],
      ["deny_on_first_deny", [true, false]],
      ["permit_on_first_permit", [true]],
    ])("stops as %s says", async (evaluations_semantic, expected) => {
      expect(decisionsOf(await many({ action: write, resource: record, evaluations: four, options: { evaluations_semantic } }))).toEqual(
        expected,
      );
    });

    it("is a single evaluation if the list is missing or empty", async () => {
      for (const evaluations of [undefined, []])
        expect(await many({ subject: bob, action: write, resource: record, evaluations })).toMatchObject({
          status: 200,
          body: { decision: false },
        });
    });

    it.each<[string, unknown]>([
      ["evaluations that are no list", { evaluations: {} }],
      ["another semantic", { evaluations: four, options: { evaluations_semantic: "constructor" } }],
      ["options that are no object", { evaluations: four, options: [] }],
      ["too many", { evaluations: new Array<unknown>(1025).fill({ subject: alice }) }],
    ])("refuses %s", async (_, body) => {
      expect((await many(body)).status).toBe(400);
    });

    it("answers an invalid evaluation with an error of its own", async () => {
      expect(await many({ subject: alice, action: read, resource: record, evaluations: [null, 7, {}, { resource: null }] })).toMatchObject({
        status: 200,
        body: { evaluations: [{ decision: false }, { decision: false }, { decision: true }, { decision: false }] },
      });
    });
  });

  it("rejects requests without the configured token", async () => {
    const closed = new URL((await serve(POLICY, "s3cret")).authzenUrl as string);
    const body = { subject: alice, action: read, resource: record };
    expect((await send({ body }, closed)).status).toBe(401);
    expect((await send({ body, headers: { authorization: "Bearer s3crex" } }, closed)).status).toBe(401);
    expect((await send({ body, headers: { authorization: "Bearer s3cret" } }, closed)).status).toBe(200);
  });
});
