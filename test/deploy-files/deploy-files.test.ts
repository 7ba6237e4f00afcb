/** What lies in deploy/ and cannot be run here fits together, and fits the command line: manifests and units, as data. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { requires, runScript, runSluice, scratch } from "@sluice/testkit";
import { expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";

const place = (name: string): string => fileURLToPath(new URL(`../../deploy/${name}`, import.meta.url));

interface Container {
  args: string[];
  ports: { name: string }[];
  volumeMounts: { name: string }[];
}
interface Manifest {
  kind: string;
  metadata: { name: string; labels?: Record<string, string> };
  spec: {
    selector?: { matchLabels: Record<string, string> };
    podSelector?: { matchLabels: Record<string, string> };
    template?: { metadata: { labels: Record<string, string> }; spec: { containers: Container[]; volumes: { name: string }[] } };
    scaleTargetRef?: { name: string };
  };
}

const read = (name: string): string => readFileSync(place(name), "utf8");
const kustomization = parse(read("k8s/kustomization.yaml")) as { resources: string[]; images: { name: string }[] };
const manifests = kustomization.resources.flatMap((name) =>
  parseAllDocuments(read(`k8s/${name}`)).map((document) => document.toJS() as Manifest),
);
const workloads = manifests.filter(({ spec }) => spec?.template !== undefined);

/** Every long option of a command line is one that the command knows. */
async function checkOptions(args: readonly string[]): Promise<void> {
  const { stdout } = await runSluice([args[0] as string, "--help"]);
  const known = new Set(stdout.match(/--[a-z][a-z-]*/g));
  for (const option of args.filter((arg) => arg.startsWith("--"))) expect(known, option).toContain(option);
}

test("manifests name one another, and the command line knows their options", async () => {
  expect(workloads.map(({ kind }) => kind)).toEqual(["Deployment", "DaemonSet"]);
  const labels = workloads.map(({ spec }) => JSON.stringify(spec.template?.metadata.labels));
  for (const { spec } of manifests) {
    const wanted = spec?.selector?.matchLabels ?? spec?.podSelector?.matchLabels;
    if (wanted !== undefined) expect(labels).toContain(JSON.stringify(wanted));
  }
  for (const { spec } of workloads) {
    const { containers = [], volumes = [] } = spec.template?.spec ?? {};
    for (const { args, volumeMounts } of containers) {
      expect(volumeMounts.map(({ name }) => name).sort()).toEqual(volumes.map(({ name }) => name).sort());
      await checkOptions(args);
    }
  }
  const hpa = parse(read("k8s/hpa-example.yaml")) as Manifest;
  expect(manifests.some(({ kind, metadata }) => kind === "Deployment" && metadata.name === hpa.spec.scaleTargetRef?.name)).toBe(true);
});

test("the policy that is shipped with them checks", async () => {
  for (const name of ["k8s/policy.yaml", "compose/policies/rules/policy.yaml"])
    expect(await runSluice(["policy", "check", place(name)])).toMatchObject({ code: 0 });
});

test("units call the command with options that it knows", async () => {
  for (const name of readdirSync(place("systemd")).filter((file) => file.endsWith(".service"))) {
    for (const [, line = ""] of read(`systemd/${name}`).matchAll(/^Exec\w+=-?\/usr\/local\/bin\/sluice (.*)$/gm))
      await checkOptions(line.split(" "));
  }
});

const { test: verified } = requires("command systemd-analyze");

verified("systemd reads the units", async () => {
  const directory = scratch();
  const units = readdirSync(place("systemd")).filter((file) => file.endsWith(".service"));
  // The command is not installed on the machine that tests run on.
  for (const unit of units) writeFileSync(join(directory, unit), read(`systemd/${unit}`).replaceAll("/usr/local/bin/sluice", "/bin/true"));
  const result = await runScript(["systemd-analyze", "verify", ...units.map((unit) => join(directory, unit.replace("@.", "@x.")))]);
  expect(result.stdout + result.stderr).toBe("");
  expect(result.code).toBe(0);
});
