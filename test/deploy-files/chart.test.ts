/** The Helm chart: rendered by helm for every kind of value, checked as the API server checks objects, and fitting the command line. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { requires, runScript, runSluice, scratch } from "@sluice/testkit";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { type Manifest, objectFaults, type PodSpec, podsOf, restrictedFaults } from "./kubernetes-objects.js";

const place = (name: string): string => fileURLToPath(new URL(`../../deploy/k8s/${name}`, import.meta.url));
const FETCH_HELM = fileURLToPath(new URL("../../packages/dev/tests/fetch-helm.mjs", import.meta.url));
const RELEASE = fileURLToPath(new URL("../../packages/dev/release/release.mjs", import.meta.url));
const EXAMPLES = readdirSync(place("examples")).filter((name) => name !== "values.yaml");

function documents(text: string): Manifest[] {
  return parseAllDocuments(text).flatMap((document) => {
    expect(document.errors).toEqual([]);
    return document.contents === null ? [] : [document.toJS() as Manifest];
  });
}

const examples = (name: string): Manifest[] => documents(readFileSync(place(`examples/${name}`), "utf8"));

/** Values that change templates, by their purpose. */
const VALUES: Readonly<Record<string, object>> = {
  defaults: {},
  examples: parse(readFileSync(place("examples/values.yaml"), "utf8")) as object,
  "no decision service": { decision: { enabled: false }, networkPolicy: { enabled: false } },
  "cert-manager and monitoring": {
    certificates: { mode: "certManager", issuerRef: { name: "ca", kind: "ClusterIssuer" } },
    serviceMonitor: { enabled: true, labels: { release: "prometheus" } },
    decision: { autoscaling: { enabled: true }, egress: [{ ports: [{ port: 4222, protocol: "TCP" }] }] },
  },
  "existing certificates, a digest and pull secrets": {
    certificates: { mode: "existing" },
    image: { digest: `sha256:${"a".repeat(64)}`, pullSecrets: [{ name: "registry" }] },
  },
  "sources on claims": {
    driver: { claims: true, sources: { data: { lower: "claim", upper: ["none", "pvc"] } } },
  },
  "several processes": {
    hostService: { processes: 3 },
    serviceMonitor: { enabled: true },
  },
  "storage classes": {
    controller: { enabled: true },
    storageClasses: [{ name: "datasets", parameters: { lower: "/srv/sluice/datasets", policy: "p" }, reclaimPolicy: "Retain" }],
    driver: {
      roots: ["/srv/sluice"],
      policies: { p: "version: 1\ndefault: grant\n" },
      ephemeral: { maxSizeBytes: "1Gi", maxInodes: 1000 },
    },
  },
};

describe("objects of the examples", () => {
  test.each(EXAMPLES)("are valid, and their pods need no privilege: %s", (name) => {
    const objects = examples(name);
    expect(objects.length).toBeGreaterThan(0);
    for (const object of objects) {
      expect(objectFaults(object)).toEqual([]);
      for (const pod of podsOf(object)) expect(restrictedFaults(pod)).toEqual([]);
    }
  });

  test("a pod with privilege, a node path or a misspelt field would be found", () => {
    const [pod] = podsOf(examples("agent-sandbox.yaml")[0] as Manifest);
    const faulty = structuredClone(pod as PodSpec);
    faulty.volumes = [{ name: "root", hostPath: { path: "/" } }];
    const container = faulty.containers[0] as PodSpec["containers"][number];
    container.securityContext = { privileged: true };
    expect(restrictedFaults(faulty)).toHaveLength(4);
    expect(objectFaults({ ...examples("agent-sandbox.yaml")[0], spec: { ...pod, volumez: [] } } as Manifest)).toEqual([
      "/spec/volumez: unknown",
    ]);
  });
});

/** The objects that the pods of an object need. */
function namedBy(object: Manifest): string[] {
  return podsOf(object).flatMap(({ volumes = [], serviceAccountName }) => [
    ...(serviceAccountName === undefined ? [] : [`ServiceAccount/${serviceAccountName}`]),
    ...volumes.flatMap(({ configMap }) => (configMap === undefined ? [] : [`ConfigMap/${configMap.name}`])),
  ]);
}

const { describe: withHelm } = requires("helm");

withHelm("the chart", () => {
  let program: string | undefined;
  const helm = (...args: string[]): string => {
    program ??= execFileSync(process.execPath, [FETCH_HELM], { encoding: "utf8" }).trim();
    return execFileSync(program, args, { encoding: "utf8", stdio: "pipe" });
  };

  const byValues = new Map<string, Manifest[]>();
  function rendered(values: object): Manifest[] {
    const text = JSON.stringify(values);
    const known = byValues.get(text);
    if (known !== undefined) return known;
    const file = join(scratch(), "values.json");
    writeFileSync(file, text);
    const objects = documents(helm("template", "sluice", place("chart"), "--namespace", "sluice", "--values", file));
    byValues.set(text, objects);
    return objects;
  }

  test("has no fault that helm knows, and refuses a value that it does not know", () => {
    expect(helm("lint", "--strict", place("chart"))).toContain("0 chart(s) failed");
    for (const values of [
      { drivers: {} },
      { driver: { sources: { a: { lower: ["relative"] } } } },
      { certificates: { mode: "certManager" } },
    ])
      expect(() => rendered(values)).toThrow(/values don't meet the specifications of the schema/);
  });

  test("names its sidecars by digest", () => {
    const { sidecars } = parse(readFileSync(place("chart/values.yaml"), "utf8")) as { sidecars: Record<string, string> };
    for (const image of Object.values(sidecars)) expect(image).toMatch(/:v\d+\.\d+\.\d+@sha256:[0-9a-f]{64}$/);
  });

  test("is an artefact of a release, which helm takes", () => {
    const out = scratch();
    const env = { ...process.env, SOURCE_DATE_EPOCH: "0" };
    execFileSync(process.execPath, [RELEASE, "--out", join(out, "artefacts"), "--only", "chart"], { env, stdio: "pipe" });
    const packed = readdirSync(join(out, "artefacts")).find((name) => /^sluice-chart-\d.*\.tgz$/.test(name)) ?? "";
    expect(documents(helm("template", "sluice", join(out, "artefacts", packed))).length).toBeGreaterThan(10);
  });

  test.each(Object.keys(VALUES))("makes valid objects that name one another: %s", (name) => {
    const objects = rendered(VALUES[name] as object);
    expect(objects.flatMap(objectFaults)).toEqual([]);
    const names = new Set(objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`));
    for (const object of objects) {
      for (const name of namedBy(object)) expect(names).toContain(name);
      const { selector, template } = object.spec ?? {};
      if (selector?.matchLabels !== undefined && template !== undefined) expect(template.metadata?.labels).toEqual(selector.matchLabels);
    }
    for (const { volumes = [], containers } of objects.flatMap(podsOf)) {
      const mounted = containers.flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name));
      expect([...new Set(mounted)].toSorted()).toEqual(volumes.map(({ name }) => name).toSorted());
    }
  });

  test("gives privilege to the two containers that need Bidirectional propagation, and to no other", () => {
    const objects = rendered(VALUES["storage classes"] as object);
    const privileged = objects.flatMap(podsOf).flatMap(({ containers }) =>
      containers
        .filter(({ securityContext }) => securityContext?.privileged === true)
        .map(({ name, volumeMounts = [] }) => {
          expect(volumeMounts.some(({ mountPropagation }) => mountPropagation === "Bidirectional")).toBe(true);
          return name;
        }),
    );
    expect(privileged.toSorted()).toEqual(["driver", "host"]);
    const unprivileged = objects.filter(({ kind }) => kind === "Deployment").flatMap(podsOf);
    expect(unprivileged).toHaveLength(2);
    for (const pod of unprivileged) expect(restrictedFaults(pod)).toEqual([]);
    expect(objects.find(({ kind }) => kind === "CSIDriver")).toMatchObject({
      metadata: { labels: { "security.kubernetes.io/csi-ephemeral-volume-profile": "restricted" } },
      spec: { podInfoOnMount: true, requiresRepublish: true, attachRequired: false },
    });
  });

  test("has the metrics of each process of the host service read", () => {
    const objects = rendered(VALUES["several processes"] as object);
    const host = objects.flatMap(podsOf).flatMap(({ containers }) => containers.filter(({ name }) => name === "host"))[0];
    expect(host?.args?.join(" ")).toContain("--processes 3 --admin 0.0.0.0:9465");
    const ports = [
      { name: "admin", containerPort: 9465 },
      { name: "admin-2", containerPort: 9466 },
      { name: "admin-3", containerPort: 9467 },
    ];
    expect(host).toMatchObject({ ports });
    const monitor = objects.find(({ kind }) => kind === "PodMonitor");
    expect(monitor).toMatchObject({ spec: { podMetricsEndpoints: ports.map(({ name }) => ({ port: name })) } });
    const allowed = JSON.stringify(objects.filter(({ kind }) => kind === "NetworkPolicy"));
    expect(allowed).toContain('"port":9465,"endPort":9467');
  });

  test("calls commands with options that they know, and policies that are valid", async () => {
    const objects = rendered(VALUES["examples"] as object);
    const containers = objects.flatMap(podsOf).flatMap(({ containers: each }) => each);
    const ours = containers.filter(({ image }) => image.startsWith("registry.example.com/sluice:"));
    expect(ours.length).toBeGreaterThan(1);
    for (const { image, args = [] } of ours) {
      expect(image).toMatch(/:\d/);
      const { stdout } = await runSluice([args[0] as string, "--help"]);
      const known = new Set(stdout.match(/--[a-z][a-z-]*/g));
      for (const option of args.filter((arg) => arg.startsWith("--"))) expect(known, option).toContain(option);
    }
    const policies = objects
      .flatMap(({ kind, data }) => (kind === "ConfigMap" ? Object.entries(data ?? {}) : []))
      .filter(([, text]) => text.includes("version: 1"));
    expect(policies.map(([name]) => name).toSorted()).toEqual(["agent.yaml", "policy.yaml", "workspace.yaml"]);
    for (const [name, text] of policies) {
      const file = join(scratch(), name);
      writeFileSync(file, text);
      expect(await runSluice(["policy", "check", file])).toMatchObject({ code: 0 });
    }
  });

  test("makes certificates by which mounts and decision services know each other", async () => {
    const objects = rendered({});
    const decision = objects.find(({ kind, metadata }) => kind === "Secret" && metadata.name === "sluice-decision-tls");
    const certificate = Buffer.from(decision?.data?.["tls.crt"] ?? "", "base64").toString();
    const { X509Certificate } = await import("node:crypto");
    const mount = objects.find(({ kind, metadata }) => kind === "Secret" && metadata.name === "sluice-mount-tls");
    const client = new X509Certificate(Buffer.from(mount?.data?.["tls.crt"] ?? "", "base64"));
    const authority = new X509Certificate(Buffer.from(mount?.data?.["ca.crt"] ?? "", "base64"));
    const server = new X509Certificate(certificate);
    expect([server.verify(authority.publicKey), client.verify(authority.publicKey)]).toEqual([true, true]);
    const config =
      objects.find(({ kind, metadata }) => kind === "ConfigMap" && metadata.name === "sluice-driver")?.data?.["csi.yaml"] ?? "";
    const { decisions } = parse(config) as { decisions: { central: { serverSan: string; target: string } } };
    expect(server.subjectAltName).toContain(decisions.central.serverSan);
    expect(server.checkHost(new URL(decisions.central.target.replace("dns:///", "https://")).hostname)).toBeDefined();
    const args = podsOf(objects.find(({ kind }) => kind === "Deployment") as Manifest)[0]?.containers[0]?.args ?? [];
    expect(client.subjectAltName).toContain(args[args.indexOf("--tls-client-san") + 1]);
  });
});

test("the script for kind is valid shell", async () => {
  expect(await runScript(["bash", "-n", place("kind.sh")])).toMatchObject({ code: 0, stderr: "" });
});
