import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { PolicyBackend, Ruling } from "../backend.js";
import { backendContract } from "../contract-suite.js";
import { anything, wholeQuestion } from "../testing/standard-policy.js";
import { openPolicyFile } from "../file-backend.js";
import { type CheckInput, startExtAuthzStandIn } from "../testing/ext-authz-stand-in.js";
import { standardAllows } from "../testing/standard-function.js";

const directory = mkdtempSync(join(tmpdir(), "sluice-ext-authz-"));
let standIn: Awaited<ReturnType<typeof startExtAuthzStandIn>>;
let seen: CheckInput[] = [];
let respond: (input: CheckInput) => unknown = () => undefined;
let files = 0;

const bytesOf = (escaped: string): string =>
  escaped.replace(/%([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));

function standard({ attributes: { source, request } }: CheckInput): unknown {
  const { method, path, headers } = request.http;
  const allowed = standardAllows({
    action: method.toLowerCase(),
    access: headers["x-sluice-access"] ?? "",
    uid: Number(source.principal.slice("uid:".length)),
    executable: headers["x-sluice-executable"],
    path: bytesOf(path).slice(1),
    layer: headers["x-sluice-layer"] ?? "",
    fileClass: headers["x-sluice-xattr-user.class"],
  });
  return allowed ? { status: { code: 0 } } : { status: { code: 7 }, denied_response: { status: { code: 403 }, body: "not you" } };
}

beforeAll(async () => {
  standIn = await startExtAuthzStandIn(join(directory, "s.sock"), (input) => {
    seen.push(input);
    return respond(input);
  });
});
afterAll(() => {
  standIn.close();
  rmSync(directory, { recursive: true });
});
const opened: PolicyBackend[] = [];
afterEach(async () => {
  for (const backend of opened.splice(0)) await backend.dispose();
  respond = standard;
});

async function open(options = "", target = standIn.target): Promise<PolicyBackend> {
  const path = join(directory, `p${files++}.yaml`);
  writeFileSync(path, `kind: ext-authz\ntarget: ${target}\n${options}`);
  return openPolicyFile(path);
}
async function ask(response: unknown): Promise<Ruling> {
  respond = () => response;
  const backend = await open();
  opened.push(backend);
  return backend.policy.evaluate(wholeQuestion());
}

describe("with a stand-in for a server of the external authorization API", () => {
  respond = standard;
  backendContract("ext-authz", () => open("needs: {executable: true, xattrs: [user.class]}\ntimeout: 20s\n"));

  it("sends path, method, principal and facts where such servers look for them", async () => {
    seen = [];
    const backend = await open();
    opened.push(backend);
    await backend.policy.evaluate(wholeQuestion({ paths: ["d x/\xff%.txt"] }));
    const { source, request, context_extensions: extensions } = (seen[0] as CheckInput).attributes;
    expect(source.principal).toBe("uid:1000");
    expect(request.http).toMatchObject({ id: "q-1", method: "OPEN", path: "/d%20x/%FF%25.txt", host: "m", size: "10" });
    expect(request.http.headers).toMatchObject({ "x-sluice-access": "read", "x-sluice-mode": "100644", "x-sluice-executable": "/bin/cat" });
    expect(extensions).toEqual({ mount: "m", layer: "lower0", operation: "open", action: "open", access: "read" });
    expect(seen.map(({ attributes }) => attributes.request.http.method)).toEqual(["OPEN", "PASSTHROUGH"]);
  });

  it("sends the attributes that it needs alone, so that none overwrites another's header", async () => {
    seen = [];
    const backend = await open("needs: {xattrs: [user.class]}\n");
    opened.push(backend);
    const xattrs = new Map([
      ["user.class", Buffer.from("secret")],
      ["user.Class", Buffer.from("public")],
    ]);
    await backend.policy.evaluate(wholeQuestion({ resource: { ...anything, paths: ["a"], xattrs } }));
    const { headers } = (seen[0] as CheckInput).attributes.request.http;
    expect(Object.entries(headers).filter(([name]) => name.includes("xattr"))).toEqual([["x-sluice-xattr-user.class", "secret"]]);
  });

  it("refuses to need two attributes that differ only in letter case", async () => {
    await expect(open("needs: {xattrs: [user.a, user.class, user.Class]}\n")).rejects.toThrow(
      /yaml:3:\d+: 'user.Class' and 'user.class' differ only in letter case, and have the same header: name one of them/,
    );
  });

  it("takes an effect from the metadata, or from a header", async () => {
    const text = (value: string): unknown => ({ stringValue: value });
    const fields = { effect: text("mediate"), rule: text("metered"), reason: text("too big"), other: { numberValue: 1 } };
    expect(await ask({ status: { code: 0 }, dynamic_metadata: { fields } })).toMatchObject({
      effect: "mediate",
      rule: "metered",
      reason: "too big",
    });
    const headers = [
      { header: { key: "X-Sluice-Effect", value: "grant" } },
      { header: { key: "x-sluice-rule", raw_value: Buffer.from("r") } },
    ];
    expect(await ask({ status: { code: 0 }, ok_response: { headers } })).toMatchObject({ effect: "grant", rule: "r" });
    const denied = { status: { code: 16, message: "who are you" }, dynamic_metadata: { fields: { effect: text("grant") } } };
    expect(await ask(denied)).toMatchObject({ effect: "deny", reason: "who are you" });
  });

  it("takes an answer without a status, with an unknown effect, or a failure for no answer", async () => {
    await expect(ask({})).rejects.toThrow(/without a status/);
    await expect(ask({ status: {}, dynamic_metadata: { fields: { effect: { stringValue: "yes" } } } })).rejects.toThrow(
      /unknown effect 'yes'/,
    );
    respond = () => {
      throw Object.assign(new Error("broken"), { code: 13 });
    };
    const backend = await open();
    opened.push(backend);
    await expect(backend.policy.evaluate(wholeQuestion())).rejects.toThrow(/cannot be asked: broken/);
    const nobody = await open("timeout: 200ms\n", `unix://${directory}/nobody.sock`);
    opened.push(nobody);
    await expect(nobody.policy.evaluate(wholeQuestion())).rejects.toThrow(/cannot be asked/);
  });
});
