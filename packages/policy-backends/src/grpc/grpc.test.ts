import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type sendUnaryData, Server, ServerCredentials, type ServerUnaryCall, type ServerWritableStream } from "@grpc/grpc-js";
import { capabilitiesToProto, decisionToProto, type Question, questionFromProto, WANTS_MAY_MATCH, wire } from "@sluice/decision-api";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Policy, PolicyBackend, Ruling } from "../backend.js";
import { backendContract } from "../contract-suite.js";
import { STANDARD_POLICY, wholeQuestion } from "../testing/standard-policy.js";
import { openPolicyFile } from "../file-backend.js";
import { loadPolicy } from "../rules/load-policy.js";

/** A decision service as small as the contract allows: unary calls, and Watch for changes. */
class SmallService {
  private readonly server = new Server();
  private readonly watchers = new Set<ServerWritableStream<wire.WatchRequest, wire.WatchResponse>>();
  policy: Policy;
  /** False: as a service of an older version. */
  tellsMayMatch = true;

  constructor(text: string) {
    this.policy = loadPolicy(Buffer.from(text), "p", "p").policy;
    this.server.addService(wire.DecisionServiceService, {
      decide: (call: ServerUnaryCall<wire.DecideRequest, wire.DecideResponse>, callback: sendUnaryData<wire.DecideResponse>) => {
        const { questionId, question } = call.request;
        const { mayMatch, ...ruling } = this.policy.evaluate(questionFromProto(questionId, question)) as Ruling;
        const told =
          this.tellsMayMatch && question?.lookedFor.includes(WANTS_MAY_MATCH) === true ? { mayMatch: mayMatch ?? ("none" as const) } : {};
        const decision = { ...ruling, ...told, decisionId: "d", policyId: "p", revision: this.policy.revision, source: "service" as const };
        callback(null, { questionId, decision: decisionToProto(decision) });
      },
      getCapabilities: (_call: unknown, callback: sendUnaryData<wire.GetCapabilitiesResponse>) =>
        callback(null, { capabilities: capabilitiesToProto(this.policy.capabilities) }),
      watch: (call: ServerWritableStream<wire.WatchRequest, wire.WatchResponse>) => {
        this.watchers.add(call);
        this.tell(call);
      },
    });
  }

  private tell(call: ServerWritableStream<wire.WatchRequest, wire.WatchResponse>): void {
    call.write({ message: { $case: "policy", value: capabilitiesToProto(this.policy.capabilities) } });
  }

  change(text: string): void {
    this.policy = loadPolicy(Buffer.from(text), "p", "p").policy;
    for (const watcher of this.watchers) this.tell(watcher);
  }

  listen(path: string): Promise<void> {
    return new Promise((resolve, reject) =>
      this.server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) => (error === null ? resolve() : reject(error))),
    );
  }

  close(): void {
    this.server.forceShutdown();
  }
}

const directory = mkdtempSync(join(tmpdir(), "sluice-grpc-"));
const socket = join(directory, "s.sock");
const service = new SmallService(STANDARD_POLICY);
let files = 0;
beforeAll(() => service.listen(socket));
afterAll(() => {
  service.close();
  rmSync(directory, { recursive: true });
});

function open(target = `unix://${socket}`, options = "timeout: 20s\n"): Promise<PolicyBackend> {
  const path = join(directory, `p${files++}.yaml`);
  writeFileSync(path, `kind: grpc\ntarget: ${target}\n${options}`);
  return openPolicyFile(path);
}

backendContract("grpc", () => open());

describe("grpc", () => {
  it("needs what the other service needs, gives its rule and its scope, and follows its changes", async () => {
    const backend = await open();
    try {
      const before = backend.policy;
      expect(before.capabilities).toMatchObject({ needsExecutable: true, needsGroups: false, xattrs: ["user.class"] });
      const ruling = await before.evaluate(wholeQuestion({ paths: ["secret/a"] }));
      expect(ruling).toMatchObject({ effect: "deny", rule: "secrets", scope: { subtree: "secret" } });
      const hinted = new Promise<void>((resolve) => backend.onHint?.(resolve));
      service.change("version: 1\ndefault: mediate\n");
      await hinted;
      expect(backend.refresh()).toEqual({ state: "changed" });
      expect(backend.policy.revision.digest).not.toBe(before.revision.digest);
      expect(backend.policy.capabilities.needsExecutable).toBe(false);
      expect(await backend.policy.evaluate(wholeQuestion({ paths: ["secret/a"] }))).toMatchObject({ effect: "mediate" });
    } finally {
      await backend.dispose();
    }
  });

  it("guesses nothing while the other service is not there", async () => {
    const backend = await open(`unix://${directory}/nobody.sock`, "timeout: 100ms\n");
    try {
      await expect(backend.policy.evaluate(wholeQuestion())).rejects.toThrow(/gives no decision/);
    } finally {
      await backend.dispose();
    }
    await expect(open("nonsense")).rejects.toThrow(
      /:2:9: 'nonsense' is not a target: write unix:\/\/\/PATH, HOST:PORT or dns:\/\/\/HOST:PORT$/,
    );
  });
});

describe("grpc in a chain", () => {
  const audits = `version: 1
default: deny
rules:
  - {name: evil, subject: {executable: /usr/bin/evil}, effect: mediate, obligations: {audit: each-io}}
`;
  const laxer = "{kind: rules, version: 1, default: deny, rules: [{name: all, effect: grant}]}";

  /** The answer of a chain of the other service and rules that grant everything. */
  async function chained(policy: string, question: Question): Promise<Ruling> {
    service.change(policy);
    const path = join(directory, `p${files++}.yaml`);
    writeFileSync(path, `kind: chain\npolicies: [{kind: grpc, target: "unix://${socket}", timeout: 20s}, ${laxer}]\n`);
    const backend = await openPolicyFile(path);
    try {
      return await backend.policy.evaluate(question);
    } finally {
      await backend.dispose();
      service.tellsMayMatch = true;
    }
  }
  const { executable: _, ...nobody } = wholeQuestion().subject;
  const unknown = wholeQuestion({ subject: nobody, missing: [{ name: "subject.executable", reason: "the caller is gone" }] });

  it("keeps the obligations of a rule of the other service that may match", async () => {
    expect(await chained(audits, wholeQuestion())).toMatchObject({ effect: "grant", rule: "all" });
    const ruling = await chained(audits, unknown);
    expect(ruling).toMatchObject({ effect: "mediate", rule: "evil", obligations: [{ name: "audit", value: "each-io" }] });
  });

  it("asks the next policy if no rule of the other service reads the missing fact", async () => {
    expect(await chained(`${audits}`.replace("subject:", 'path: "other/**", subject:'), unknown)).toMatchObject({ effect: "grant" });
  });

  it("denies if a service of an older version does not say whether a rule may match", async () => {
    service.tellsMayMatch = false;
    expect(await chained(audits, unknown)).toMatchObject({ effect: "deny", rule: "missing-fact" });
    service.tellsMayMatch = false;
    expect(await chained(audits, wholeQuestion())).toMatchObject({ effect: "grant", rule: "all" });
    service.tellsMayMatch = false;
    const plain = "version: 1\ndefault: deny\nrules:\n  - {name: other, path: other, effect: mediate}\n";
    expect(await chained(plain, unknown)).toMatchObject({ effect: "grant", rule: "all" });
  });
});
