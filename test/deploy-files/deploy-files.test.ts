/**
 * Manifests and units in deploy/ that cannot run here are consistent, and fit the command line. The test reads them as data.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { requires, runScript, runSluice, scratch } from "@sluice/testkit";
import { expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";

const place = (name: string): string => fileURLToPath(new URL(`../../deploy/${name}`, import.meta.url));

interface Container {
  args: string[];
  volumeMounts: { name: string; mountPath: string; mountPropagation?: string }[];
  securityContext: { privileged?: boolean; capabilities?: { drop: string[]; add?: string[] } };
}
interface Volume {
  name: string;
  hostPath?: { path: string };
}
interface Manifest {
  kind: string;
  metadata: { name: string; labels?: Record<string, string> };
  spec: {
    selector?: { matchLabels: Record<string, string> };
    podSelector?: { matchLabels: Record<string, string> };
    template?: { metadata: { labels: Record<string, string> }; spec: { hostPID?: boolean; containers: Container[]; volumes: Volume[] } };
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
  expect(workloads.map(({ kind }) => kind)).toEqual(["Deployment", "DaemonSet", "DaemonSet"]);
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

test("mounts reach the keeper of their node, with the privileges that compose gives them", () => {
  const podOf = (name: string): NonNullable<Manifest["spec"]["template"]>["spec"] =>
    workloads.find(({ metadata }) => metadata.name === name)?.spec.template?.spec ?? { containers: [], volumes: [] };
  const [keeper, mount] = [podOf("keeper"), podOf("mount")];
  const argument = ({ containers }: typeof mount, option: string): string => {
    const args = containers[0]?.args ?? [];
    return args[args.indexOf(option) + 1] ?? "";
  };
  /** The path on the node that the path in the container shows. */
  const onNode = ({ containers, volumes }: typeof mount, path: string): string => {
    const mounted = containers[0]?.volumeMounts.find(({ mountPath }) => path.startsWith(`${mountPath}/`));
    const volume = volumes.find(({ name }) => name === mounted?.name);
    return `${volume?.hostPath?.path}${path.slice(mounted?.mountPath.length)}`;
  };
  expect(onNode(mount, argument(mount, "--keeper-socket"))).toBe("/run/sluice-keeper/socket");
  expect(onNode(keeper, argument(keeper, "--socket"))).toBe("/run/sluice-keeper/socket");
  expect([keeper.hostPID, mount.hostPID]).toEqual([true, true]);
  expect(keeper.containers[0]?.volumeMounts.find(({ name }) => name === "merged")?.mountPropagation).toBe("Bidirectional");
  expect(mount.containers[0]?.volumeMounts.find(({ name }) => name === "merged")?.mountPropagation).toBe("HostToContainer");
  const compose = parse(read("../docker-compose.yml"), { merge: true }) as {
    services: Record<string, { cap_add: string[]; command: string[] }>;
  };
  expect(mount.containers[0]?.securityContext).toMatchObject({ capabilities: { drop: ["ALL"], add: compose.services["mount"]?.cap_add } });
  expect(mount.containers[0]?.securityContext.privileged).toBeUndefined();
  expect(keeper.containers[0]?.args).toEqual(compose.services["keeper"]?.command);
});

test("the managed volume plugin requests what compose gives the mount and its keeper, and calls existing programs", async () => {
  const config = JSON.parse(read("volume-plugin/config.json")) as {
    entrypoint: string[];
    propagatedMount: string;
    linux: { capabilities: string[] };
  };
  const compose = parse(read("../docker-compose.yml"), { merge: true }) as { services: Record<string, { cap_add: string[] }> };
  expect(config.linux.capabilities).toEqual(compose.services["mount"]?.cap_add.map((name) => `CAP_${name}`));
  const command = config.entrypoint.slice(config.entrypoint.indexOf("volume-plugin"));
  expect(command.slice(0, 3)).toEqual(["volume-plugin", "--root", config.propagatedMount]);
  await checkOptions(command);
});

test("the shipped policy is valid", async () => {
  for (const name of ["k8s/policy.yaml", "compose/policies/rules/policy.yaml"])
    expect(await runSluice(["policy", "check", place(name)])).toMatchObject({ code: 0 });
});

test("units call the command with options that it knows", async () => {
  for (const name of readdirSync(place("systemd")).filter((file) => file.endsWith(".service"))) {
    for (const [, line = ""] of read(`systemd/${name}`).matchAll(/^Exec\w+=-?\/usr\/local\/bin\/sluice (.*)$/gm))
      await checkOptions(line.split(" "));
  }
});

test("units of mounts leave the command the capabilities that it keeps, and the one to drop the others", () => {
  const table = readFileSync(fileURLToPath(new URL("../../docs/security.md", import.meta.url)), "utf8");
  const listed = [...table.matchAll(/^\| (CAP_\w+) \|/gm)].map(([, name = ""]) => name);
  expect(listed.length).toBeGreaterThan(10);
  for (const unit of ["sluice@.service", "sluice-host.service", "sluice-volume-plugin.service"]) {
    const [, left = ""] = /^CapabilityBoundingSet=(.*)$/m.exec(read(`systemd/${unit}`)) ?? [];
    expect(left.split(" ").sort()).toEqual([...listed, "CAP_SETPCAP"].sort());
    // Each of these gives the unit a mount namespace of its own: nobody else would see its mounts.
    expect(read(`systemd/${unit}`)).not.toMatch(
      /^(?:Private(?:Tmp|Devices|Mounts)|Protect\w+|(?:ReadOnly|ReadWrite|Inaccessible|Bind)\w*Paths)=/m,
    );
  }
});

const { test: verified } = requires("command systemd-analyze");

verified("systemd reads the units", async () => {
  const directory = scratch();
  const units = readdirSync(place("systemd")).filter((file) => /\.(?:service|socket)$/.test(file));
  // The command is not installed on the test machine.
  for (const unit of units) writeFileSync(join(directory, unit), read(`systemd/${unit}`).replaceAll("/usr/local/bin/sluice", "/bin/true"));
  const result = await runScript(["systemd-analyze", "verify", ...units.map((unit) => join(directory, unit.replace("@.", "@x.")))]);
  expect(result.stdout + result.stderr).toBe("");
  expect(result.code).toBe(0);
});
