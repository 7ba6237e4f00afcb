/** The examples of deploy/k8s do what they say: their volumes are published by the driver, with the sources and policies of their values. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { status } from "@grpc/grpc-js";
import { plant, publicFile, requires, runSluice, scriptOutput, startScript } from "@sluice/testkit";
import { beforeAll, expect } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { CsiNode, type PodVolume } from "./csi-node.js";
import { FakeCluster } from "./fake-cluster.js";

const place = (name: string): string => fileURLToPath(new URL(`../../deploy/k8s/examples/${name}`, import.meta.url));

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough", "command openssl");

interface Values {
  driver: { claims: boolean; sources: Record<string, object>; policies: Record<string, string>; ephemeral: object };
  decision: { policy: { "policy.yaml": string } };
}
interface Workload {
  metadata: { namespace: string };
  spec: { template?: { spec: PodSpec } };
}
interface PodSpec {
  serviceAccountName?: string;
  securityContext: { runAsUser: number; fsGroup?: number };
  volumes: { name: string; csi: { volumeAttributes: Record<string, string> } }[];
}

/** The volume of an example, as the kubelet asks for it for one of its pods. */
function volumeOf(example: string, pod: string, facts: Record<string, string> = {}): PodVolume {
  const workload = parseAllDocuments(readFileSync(place(example), "utf8"))
    .at(-1)
    ?.toJS() as Workload;
  const spec = workload.spec.template?.spec ?? (workload.spec as unknown as PodSpec);
  const [volume] = spec.volumes;
  return {
    pod,
    volume: volume?.name ?? "",
    attributes: volume?.csi.volumeAttributes ?? {},
    group: String(spec.securityContext.fsGroup ?? ""),
    facts: {
      "csi.storage.k8s.io/pod.name": pod,
      "csi.storage.k8s.io/pod.namespace": workload.metadata.namespace,
      "csi.storage.k8s.io/pod.uid": pod,
      "csi.storage.k8s.io/serviceAccount.name": spec.serviceAccountName ?? "default",
      "csi.storage.k8s.io/ephemeral": "true",
      ...facts,
    },
  };
}

/** The configuration that the chart makes of the values, with a policy file on the node in place of the decision service. */
function configOf(node: CsiNode): object {
  const text = readFileSync(place("values.yaml"), "utf8")
    .replaceAll("/srv/sluice", join(node.srv, "sluice"))
    .replaceAll("decision: central", "policy: central");
  const {
    // The chart makes rights of it.
    driver: { claims: _, ...driver },
    decision,
  } = parse(text) as Values;
  const policies = { ...driver.policies, central: decision.policy["policy.yaml"] };
  const files = Object.entries(policies).map(([name, policy]) => {
    const file = join(node.srv, `${name}.yaml`);
    writeFileSync(file, policy);
    return [name, file];
  });
  return { ...driver, policies: Object.fromEntries(files) as Record<string, string> };
}

function plantSources(node: CsiNode): void {
  const root = join(node.srv, "sluice");
  plant(join(root, "models"), { released: publicFile("weights"), "draft.bin": publicFile("draft") });
  plant(join(root, "checkouts/main"), { Makefile: publicFile("all:\n\techo built\n") });
  plant(join(root, "agent/base"), { "bin/tool": publicFile("old"), ".env": publicFile("secret"), notes: publicFile("notes") });
  plant(join(root, "agent/tools"), { "bin/tool": publicFile("new") });
}

describe("an example", () => {
  let node: CsiNode;
  let cluster: FakeCluster;
  beforeAll(async () => {
    cluster = await FakeCluster.start();
    const config = (made: CsiNode): object => {
      plantSources(made);
      return configOf(made);
    };
    node = await CsiNode.start(config, [], cluster);
  });

  test("shares model weights by passthrough, with those whom the policy names", async () => {
    const trainers = ["pod-1", "pod-2"].map((pod) => volumeOf("model-weights.yaml", pod));
    const evaluation = volumeOf("model-weights.yaml", "pod-3", {
      "csi.storage.k8s.io/pod.namespace": "team-eval",
      "csi.storage.k8s.io/serviceAccount.name": "default",
    });
    const stranger = volumeOf("model-weights.yaml", "pod-4", { "csi.storage.k8s.io/pod.namespace": "other" });
    for (const volume of [...trainers, evaluation]) expect(await node.publish(volume)).toMatchObject({ code: status.OK });
    expect(await node.publish(stranger)).toMatchObject({ code: status.INVALID_ARGUMENT });
    for (const volume of trainers) {
      const reader = startScript(node.podCommand(volume, "exec 3</mnt/draft.bin && cat <&3 && exec sleep 60"));
      await reader.waitFor("draft");
      const { stdout } = await runSluice(["status", node.target(volume), "--json"]);
      expect(JSON.parse(stdout)).toMatchObject({ openFilesByMode: { passthrough: 1 } });
      reader.kill();
      await reader.finished;
    }
    expect(await node.inPod(evaluation, "cat /mnt/draft.bin")).toContain("Permission denied");
    for (const volume of [...trainers, evaluation]) expect(await node.unpublish(volume)).toMatchObject({ code: status.OK });
  });

  test("gives a CI runner a writable view of the checkout", async () => {
    const volume = volumeOf("ci-runner.yaml", "pod-5");
    expect(await node.publish(volume)).toMatchObject({ code: status.OK });
    expect(await node.inPod(volume, "echo built >/mnt/out && cat /mnt/out /mnt/Makefile", "1000")).toBe("built\nall:\n\techo built\n");
    expect(await node.unpublish(volume)).toMatchObject({ code: status.OK });
    expect(node.leftovers()).toEqual([]);
  });

  test("keeps an agent from secrets and within its space", async () => {
    const volume = volumeOf("agent-sandbox.yaml", "pod-6");
    expect(await node.publish(volume)).toMatchObject({ code: status.OK });
    expect(await node.inPod(volume, "ls -A /mnt && cat /mnt/bin/tool", "1000")).toBe("bin\nnotes\nnew");
    expect(await node.inPod(volume, "cat /mnt/.env", "1000")).toContain("No such file");
    expect(await node.inPod(volume, "rm -f /mnt/bin/tool", "0")).toContain("Permission denied");
    expect(await node.inPod(volume, "df -k --output=size /mnt | tail -1 | tr -d ' '", "1000")).toBe("262144\n");
    expect(await node.unpublish(volume)).toMatchObject({ code: status.OK });
    expect(node.leftovers()).toEqual([]);
  });

  test("keeps the changes of a workspace on its claim", async () => {
    const [one, two] = ["pod-8", "pod-9"].map((pod) => volumeOf("workspace.yaml", pod)) as [PodVolume, PodVolume];
    cluster.bind("team-a", "workspace", "pvc-workspace");
    const storage = join(node.srv, "storage");
    mkdirSync(storage);
    for (const { pod } of [one, two]) {
      const claim = join(node.kubelet, "pods", pod, "volumes/kubernetes.io~csi/pvc-workspace/mount");
      mkdirSync(claim, { recursive: true });
      await scriptOutput(["mount", "--bind", storage, claim]);
    }
    expect(await node.publish(one)).toMatchObject({ code: status.OK });
    expect(await node.inPod(one, "echo made >/mnt/made && cat /mnt/notes", "1000")).toBe("notes");
    expect(await node.inPod(one, "chmod 600 /mnt/.env", "0")).toContain("Permission denied");
    expect(existsSync(join(storage, "sluice/work/upper/.env"))).toBe(false);
    expect(await node.unpublish(one)).toMatchObject({ code: status.OK });
    expect(await node.publish(two)).toMatchObject({ code: status.OK });
    expect(await node.inPod(two, "cat /mnt/made", "1000")).toBe("made\n");
    expect(await node.unpublish(two)).toMatchObject({ code: status.OK });
  });

  test("describes a persistent volume that only lacks its root here", async () => {
    const [volume] = parseAllDocuments(readFileSync(place("persistent-volume.yaml"), "utf8"));
    if (volume === undefined) throw new Error("the example has no object");
    const { spec } = volume.toJS() as { spec: { csi: { volumeAttributes: Record<string, string> } } };
    const attributes = { ...spec.csi.volumeAttributes, policy: "central" };
    delete (attributes as Record<string, string | undefined>)["decision"];
    const refused = await node.publish({ pod: "pod-7", volume: "datasets", persistent: true, attributes });
    expect(refused).toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining("no root that the driver lists") as string,
    });
  });
});
