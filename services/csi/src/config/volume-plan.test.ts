import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { scratch } from "@sluice/testkit";
import { describe, expect, test } from "vitest";
import { CsiError } from "../csi-error.js";
import { readDriverConfig } from "./driver-config.js";
import { parseQuantity } from "./quantity.js";
import { planVolume } from "./volume-plan.js";

const FACTS = {
  "csi.storage.k8s.io/pod.name": "trainer-0",
  "csi.storage.k8s.io/pod.namespace": "team-a",
  "csi.storage.k8s.io/pod.uid": "uid-1",
  "csi.storage.k8s.io/serviceAccount.name": "trainer",
};
const INLINE = { ...FACTS, "csi.storage.k8s.io/ephemeral": "true" };
const PERSISTENT = { ...FACTS, "csi.storage.k8s.io/ephemeral": "false" };

const CONFIG = {
  roots: ["/srv"],
  policies: { gated: "/etc/sluice/gated.yaml" },
  decisions: { central: { target: "dns:///decision:50051", ca: "/certificates/ca.crt" } },
  ephemeral: { maxSizeBytes: "1Gi", totalBytes: "2Gi" },
  sources: {
    models: { lower: ["/srv/models"], policy: "gated" },
    team: { lower: ["/srv/team"], decision: "central", namespaces: ["team-*"], upper: ["ephemeral"], limits: { maxInodes: 1000 } },
    other: { lower: ["/srv/other"], namespaces: ["team-b"] },
    kept: { lower: ["/srv/models"], upper: ["pvc"] },
    data: { lower: "claim", upper: ["none", "pvc"] },
  },
};

function configOf(given: object): ReturnType<typeof readDriverConfig> {
  const file = join(scratch(), "csi.yaml");
  writeFileSync(file, JSON.stringify(given));
  return readDriverConfig(file);
}

function refusalOf(context: Record<string, string>, config: object = CONFIG): CsiError {
  try {
    planVolume(context, configOf(config));
  } catch (error) {
    if (error instanceof CsiError) return error;
    throw error;
  }
  throw new Error("the volume was not refused");
}

describe("an inline volume", () => {
  test("gets the layers and the policy of its source, and the pod's facts", () => {
    const plan = planVolume({ ...INLINE, source: "models", options: "noexec" }, configOf(CONFIG));
    expect(plan).toMatchObject({ lowers: ["/srv/models"], policyFile: "/etc/sluice/gated.yaml", upper: "none", decision: undefined });
    expect(plan.pod).toEqual({ name: "trainer-0", namespace: "team-a", uid: "uid-1", serviceAccount: "trainer" });
    expect(plan.options).toEqual(["nosuid", "nodev", "noexec"]);
  });

  test("asks the decision service of its source within the limits of source and driver", () => {
    const plan = planVolume({ ...INLINE, source: "team", upper: "ephemeral" }, configOf(CONFIG));
    expect(plan.decision?.target).toBe("dns:///decision:50051");
    expect(plan.limits).toEqual({ sizeBytes: 2 ** 30, inodes: 1000 });
    expect(refusalOf({ ...INLINE, source: "team", upper: "ephemeral", maxInodes: "1001" }).message).toContain("at most 1000");
  });

  test("has a limit only of memory that the administrator gave to all of them", () => {
    const small = { ...INLINE, source: "team", upper: "ephemeral", maxSizeBytes: "1Mi" };
    expect(planVolume(small, configOf(CONFIG)).memoryBytes).toBe(2 ** 31);
    expect(refusalOf(small, { ...CONFIG, ephemeral: {} })).toMatchObject({ code: status.FAILED_PRECONDITION });
    const { maxSizeBytes: _, ...inodes } = small;
    expect(refusalOf(inodes, { ...CONFIG, ephemeral: { totalBytes: "2Gi" } }).message).toContain("maxInodes: it needs a maxSizeBytes");
  });

  test("may use a source only from the namespaces that it names", () => {
    expect(refusalOf({ ...INLINE, source: "other" }).message).toContain("may not use this source");
  });

  test("chooses no layer, policy, decision service or failure mode", () => {
    for (const key of ["lower", "policy", "decision", "onOutage", "maxStackDepth", "unknown"])
      expect(refusalOf({ ...INLINE, source: "models", [key]: "x" })).toMatchObject({ code: status.INVALID_ARGUMENT });
    expect(refusalOf(INLINE).message).toContain("source is missing");
  });

  test("is refused if the kubelet does not say what it is", () => {
    expect(refusalOf({ ...FACTS, source: "models" })).toMatchObject({ code: status.FAILED_PRECONDITION });
    expect(refusalOf({ source: "models" })).toMatchObject({ code: status.FAILED_PRECONDITION });
  });
});

describe("a volume on claims", () => {
  test("names a claim for each layer that lies on one, and no other", () => {
    const kept = planVolume({ ...INLINE, source: "kept", upper: "pvc", upperClaim: "scratch" }, configOf(CONFIG));
    expect(kept).toMatchObject({ upper: "pvc", upperClaim: "scratch", lowerClaim: undefined, lowers: ["/srv/models"] });
    const both = { ...INLINE, source: "data", lowerClaim: "data", upper: "pvc", upperClaim: "scratch" };
    expect(planVolume(both, configOf(CONFIG))).toMatchObject({ lowerClaim: "data", upperClaim: "scratch", lowers: [] });
    for (const wrong of [
      { source: "kept", upper: "pvc" },
      { source: "kept", upper: "pvc", upperClaim: "scratch", lowerClaim: "data" },
      { source: "kept", upper: "pvc", upperClaim: "../scratch" },
      { source: "kept", upper: "pvc", upperClaim: "scratch", maxSizeBytes: "1Mi" },
      { source: "models", upper: "pvc", upperClaim: "scratch" },
      { source: "models", upperClaim: "scratch" },
      { source: "data" },
      { source: "data", lowerClaim: "same", upper: "pvc", upperClaim: "same" },
    ])
      expect(refusalOf({ ...INLINE, ...wrong })).toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  test("follows no mark that redirects a name, and sees changes of a lower layer", () => {
    const plan = planVolume({ ...INLINE, source: "data", lowerClaim: "data", upper: "pvc", upperClaim: "x" }, configOf(CONFIG));
    expect(plan.options).toEqual(["nosuid", "nodev", "shared_lower", "redirect_dir=nofollow", "metacopy=off"]);
  });
});

describe("a persistent volume", () => {
  test("names paths, a policy and a failure mode by itself", () => {
    const attributes = { lower: "/srv/a:/srv/b", policy: "gated", onOutage: "stale", maxStackDepth: "2" };
    const plan = planVolume({ ...PERSISTENT, ...attributes, "storage.kubernetes.io/csiProvisionerIdentity": "1" }, configOf(CONFIG));
    expect(plan).toMatchObject({ lowers: ["/srv/a", "/srv/b"], onOutage: "stale", maxStackDepth: 2 });
  });

  test("is refused with a policy that the driver lacks, or paths that it cannot mean", () => {
    for (const attributes of [
      { policy: "absent" },
      { policy: "toString" },
      { lower: "relative" },
      { lower: "/a,b" },
      { onOutage: "grant" },
    ])
      expect(refusalOf({ ...PERSISTENT, lower: "/srv/a", ...attributes })).toMatchObject({ code: status.INVALID_ARGUMENT });
  });
});

test("the configuration names its first mistake", () => {
  expect(() => configOf({ sources: { a: { lower: ["/a"], policy: "absent" } } })).toThrow('sources.a: there is no policy "absent"');
  expect(() => configOf({ roots: ["relative"] })).toThrow("roots.0: it is not an absolute path");
  expect(() => configOf({ root: [] })).toThrow("Unrecognized key");
});

test("quantities are those of Kubernetes", () => {
  expect(["1Ki", "2M", "512", "0", "-1", "1.5Gi", "1e3", ""].map(parseQuantity)).toEqual([
    1024,
    2_000_000,
    512,
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

test("a configuration that cannot be read is named with the errno, and one that is no YAML with its place", () => {
  const directory = scratch();
  const missing = join(directory, "missing.yaml");
  const remedy = "repair the configuration of the driver";
  expect(() => readDriverConfig(missing)).toThrow(`${missing}: it cannot be read (ENOENT): ${remedy}`);
  expect(() => readDriverConfig(directory)).toThrow(`${directory}: it cannot be read (EISDIR): ${remedy}`);
  const broken = join(directory, "broken.yaml");
  writeFileSync(broken, "sources: [\n");
  expect(() => readDriverConfig(broken)).toThrow(/broken\.yaml: Flow sequence .* at line 2, column 1:/);
});
