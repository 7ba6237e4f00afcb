import { describe, expect, it } from "vitest";
import {
  capabilitiesFromProto,
  capabilitiesToProto,
  type CacheScope,
  type Decision,
  DecisionError,
  decisionFromProto,
  decisionToProto,
  mintIds,
  type Obligation,
  type Question,
  questionExcess,
  questionFromProto,
  questionToProto,
  wire,
} from "./index.js";

const digest = "ab".repeat(32);
const question: Question = {
  id: "q-1",
  operation: "open",
  accesses: ["read", "write"],
  subject: { uid: 1000, gid: 1000, groups: [4, 24], pid: 77, executable: "/bin/cat", cgroup: "/user" },
  resource: {
    mount: "m",
    paths: ["a/\xff\xfe\x80", "b"],
    layer: "lower0",
    kind: "regular",
    sizeBytes: 2n ** 60n,
    mode: 0o100644,
    uid: 4294967295,
    gid: 0,
    xattrs: new Map([["user.class", Buffer.from("restricted")]]),
    labels: { "pod.namespace": "training" },
  },
  openFlags: 2,
  missing: [{ name: "subject.groups", reason: "the caller has ended (ESRCH)" }],
  lookedFor: ["resource.xattr.user.other"],
};
const decision: Decision = {
  effect: "deny",
  errno: 2,
  decisionId: "d-1",
  policyId: "policy.yaml",
  rule: "r",
  revision: { sequence: 3n, digest },
  reason: "because",
  obligations: [{ name: "audit", value: "each-io" }],
  source: "service",
};
const overWire = <T>(fns: wire.MessageFns<T>, value: T): T => fns.decode(fns.encode(value).finish());
const code = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof DecisionError) return error.code;
    throw error;
  }
  return "no error";
};

describe("questions", () => {
  it("come back from the wire as they were, names that are not UTF-8 included", () => {
    expect(questionFromProto("q-1", overWire(wire.Question, questionToProto(question)))).toEqual(question);
  });

  it.each<[string, (q: wire.Question) => void]>([
    ["no subject", (q) => (q.subject = undefined)],
    ["no resource", (q) => (q.resource = undefined)],
    ["no access", (q) => (q.accesses = [])],
    ["an unknown access", (q) => (q.accesses = [99 as wire.Access])],
    ["an unspecified operation", (q) => (q.operation = 0)],
    ["an unknown kind", (q) => ((q.resource as wire.Resource).kind = 44 as wire.FileKind)],
    ["no path", (q) => ((q.resource as wire.Resource).paths = [])],
    ["too many paths", (q) => ((q.resource as wire.Resource).paths = new Array<Buffer>(300).fill(Buffer.from("a")))],
    ["a path that is too long", (q) => ((q.resource as wire.Resource).paths = [Buffer.alloc(20_000, 97)])],
    ["an absolute path", (q) => ((q.resource as wire.Resource).paths = [Buffer.from("/etc")])],
    ["a path with ..", (q) => ((q.resource as wire.Resource).paths = [Buffer.from("a/../b")])],
    ["a path with NUL", (q) => ((q.resource as wire.Resource).paths = [Buffer.from("a\0b")])],
  ])("are malformed with %s", (_name, spoil) => {
    const spoilt = questionToProto(question);
    spoil(spoilt);
    expect(code(() => questionFromProto("q-1", spoilt))).toBe("malformed");
  });

  it("without an id, or with one that is too long, are malformed", () => {
    expect(code(() => questionFromProto("", questionToProto(question)))).toBe("malformed");
    expect(code(() => questionFromProto("x".repeat(129), questionToProto(question)))).toBe("malformed");
  });

  it("over a bound are known before they are sent", () => {
    expect(questionExcess(question)).toBeUndefined();
    expect(questionExcess({ ...question, resource: { ...question.resource, paths: new Array<string>(257).fill("a") } })).toContain("names");
    expect(questionExcess({ ...question, resource: { ...question.resource, paths: ["a".repeat(16_385)] } })).toContain("longer");
  });
});

describe("decisions", () => {
  it("hold to the smaller of two numbers for one obligation", () => {
    const twice = ["10", "100"].map((value) => ({ name: "readBytesPerSecond", value }));
    const { obligations } = decisionFromProto(decisionToProto({ ...decision, effect: "mediate", obligations: twice }));
    expect(obligations).toEqual([{ name: "readBytesPerSecond", value: "10" }]);
  });

  it("come back from the wire as they were", () => {
    expect(decisionFromProto(overWire(wire.Decision, decisionToProto(decision)))).toEqual(decision);
  });

  it("decisions with effect ask come back with the id of the question and its time", () => {
    const asks: Decision = { ...decision, effect: "ask", errno: 0, onOutage: "deny", pending: { askId: "abcd-efgh", timeoutMs: 61_500 } };
    expect(decisionFromProto(overWire(wire.Decision, decisionToProto(asks)))).toEqual(asks);
    const allowed: Decision = { ...decision, effect: "mediate", errno: 0, onOutage: "deny", byPerson: true };
    expect(decisionFromProto(overWire(wire.Decision, decisionToProto(allowed)))).toEqual(allowed);
  });

  it("of a person, and questions for one, are neither cached nor repeated in an outage", () => {
    const scope: CacheScope = { subtree: "", except: [], subject: [], resource: [], xattrs: [], accesses: ["read"], ttlMs: undefined };
    const asks: Decision = { ...decision, effect: "ask", scope, onOutage: "stale" };
    const allowed: Decision = { ...decision, effect: "grant", scope, onOutage: "stale", byPerson: true };
    for (const each of [asks, { ...asks, obligations: [] }, allowed]) {
      expect(decisionFromProto(overWire(wire.Decision, decisionToProto(each)))).toMatchObject({ scope: undefined, onOutage: "deny" });
    }
  });

  it("hold to the rates of each rule, if these are the rates that the answer states", () => {
    const read = (value: string): Obligation => ({ name: "readBytesPerSecond", value });
    const write: Obligation = { name: "writeBytesPerSecond", value: "5" };
    const got = (obligations: readonly Obligation[], rates: Decision["rates"]): string =>
      code(() => decisionFromProto(decisionToProto({ ...decision, effect: "mediate", errno: 0, obligations, rates })));
    const both = [
      { rule: "a", obligations: [read("10"), { name: "ratePer", value: "handle" }] },
      { rule: "b", obligations: [read("20"), write] },
    ];
    const stated = [{ name: "audit", value: "each-io" }, read("10"), { name: "ratePer", value: "rule" }, write];
    expect(got(stated, both)).toBe("no error");
    expect(got([], both)).toBe("malformed");
    expect(got([read("10")], both)).toBe("malformed");
    expect(got([read("5"), write], both)).toBe("malformed");
    expect(got([...stated, { name: "other", value: "1" }], both.slice(0, 1))).toBe("malformed");
    expect(got([read("10")], [{ rule: "a", obligations: [read("10"), { name: "audit", value: "each-io" }] }])).toBe("malformed");
    const twice = [both[0], { rule: "a", obligations: [read("100")] }] as NonNullable<Decision["rates"]>;
    expect(got([read("10")], twice)).toBe("malformed");
  });

  it("tell nothing of a person to whom no question is put", () => {
    const spoilt: Decision = { ...decision, effect: "grant", pending: { askId: "abcd", timeoutMs: 1 } };
    expect(decisionFromProto(decisionToProto(spoilt)).pending).toBeUndefined();
    const unprintable: Decision = { ...decision, effect: "ask", pending: { askId: "a\nb", timeoutMs: 1 } };
    expect(code(() => decisionFromProto(decisionToProto(unprintable)))).toBe("malformed");
  });

  it("bring the globs that their scope excepts, and are not cached if one is malformed or there are too many", () => {
    const scoped = (except: string[]): Decision => ({
      ...decision,
      scope: { subtree: "a", except, subject: [], resource: [], xattrs: [], accesses: ["read"], ttlMs: undefined },
    });
    const got = (except: string[]): unknown => decisionFromProto(overWire(wire.Decision, decisionToProto(scoped(except)))).scope;
    expect(got(["**/.env", "a/{b,c}/**"])).toEqual(scoped(["**/.env", "a/{b,c}/**"]).scope);
    expect([["[a"], ["/a"], [""], new Array<string>(257).fill("a")].map(got)).toEqual(new Array(4).fill(undefined));
  });

  it("wait for a person for an hour at most", () => {
    const patient: Decision = { ...decision, effect: "ask", pending: { askId: "abcd", timeoutMs: 1e10 } };
    expect(decisionFromProto(decisionToProto(patient)).pending?.timeoutMs).toBe(3_600_000);
  });

  it.each([0, 5, 99, -1])("decisions with effect %d deny with EACCES", (effect) => {
    const got = decisionFromProto({ ...decisionToProto(decision), errno: 0, effect: effect as wire.Effect });
    expect([got.effect, got.errno]).toEqual(["deny", 13]);
  });

  it.each([
    [0, 13],
    [13, 13],
    [1, 1],
    [2, 2],
    [5, 13],
    [4294967295, 13],
  ])("with errno %d deny with %d", (errno, expected) => {
    expect(decisionFromProto({ ...decisionToProto(decision), errno }).errno).toBe(expected);
  });

  it.each<[string, Partial<wire.Decision>]>([
    ["no id", { decisionId: "" }],
    ["an id that is too long", { decisionId: "x".repeat(129) }],
    ["an id with a newline", { decisionId: "a\nb" }],
    ["no revision", { revision: undefined }],
    ["a digest that is none", { revision: { sequence: 1n, digest: "latest" } }],
    ["a reason that is too long", { reason: "x".repeat(5000) }],
    ["too many obligations", { obligations: new Array<wire.Obligation>(33).fill({ name: "a", value: "b" }) }],
    ["a nameless obligation", { obligations: [{ name: "", value: "b" }] }],
  ])("with %s are malformed", (_name, spoilt) => {
    expect(code(() => decisionFromProto({ ...decisionToProto(decision), ...spoilt }))).toBe("malformed");
  });

  it("refuses missing answers as malformed", () => {
    expect(code(() => decisionFromProto(undefined))).toBe("malformed");
  });
});

describe("capabilities", () => {
  const capabilities = {
    revision: { sequence: 1n, digest },
    policyId: "p",
    accesses: new Set(["rename", "delete"] as const),
    needsGroups: true,
    needsExecutable: false,
    needsCgroup: true,
    xattrs: ["user.class"],
    headBytes: 512,
    needsDigest: true,
    unconditionalGrant: false,
  };
  it("come back from the wire as they were", () => {
    expect(capabilitiesFromProto(overWire(wire.Capabilities, capabilitiesToProto(capabilities)))).toEqual(capabilities);
  });
  it("leave out an access that is not known, and do not believe a grant that contradicts itself", () => {
    const got = capabilitiesFromProto({ ...capabilitiesToProto(capabilities), accesses: [99 as wire.Access, 5], unconditionalGrant: true });
    expect([...got.accesses]).toEqual(["delete"]);
    expect(got.unconditionalGrant).toBe(false);
  });
});

describe("ids", () => {
  it("mints ids that never repeat", () => {
    const mint = mintIds("d");
    const other = mintIds("d");
    const seen = new Set<string>();
    for (let i = 0; i < 1000; i++) seen.add(mint()).add(other());
    expect(seen.size).toBe(2000);
  });
});
