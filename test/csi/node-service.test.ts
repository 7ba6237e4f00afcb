/** The Node service of the CSI driver, called as the kubelet calls it, on real mounts. */
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { csi } from "@sluice/service-csi";
import { eventually, plant, policyOf, requires, runSluice, scriptOutput } from "@sluice/testkit";
import { seededRandom } from "@sluice/testkit/random";
import { beforeAll, expect } from "vitest";
import { CsiNode, type PodVolume, publishRequest } from "./csi-node.js";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const OK = { code: status.OK };

const TEAM_A = { name: "team-a", path: "team-a", effect: "deny", when: "resource.label['pod.namespace'] != 'team-a'" } as const;

/** The node of this file. */
let node: CsiNode;

/** A node with the source `models`: readable to all, in part by policy, with ephemeral space. */
function nodeWithModels(serve: readonly string[] = []): Promise<CsiNode> {
  return CsiNode.start((node) => {
    plant(join(node.srv, "models"), { weights: "weights", secret: "secret", "team-a": "team-a" });
    const policy = join(node.srv, "policy.yaml");
    writeFileSync(policy, policyOf("grant", { name: "no-secret", path: "secret", effect: "deny" }, TEAM_A));
    return {
      roots: [node.srv],
      ephemeral: { totalBytes: "3Mi" },
      policies: { gated: policy },
      sources: {
        models: { lower: [join(node.srv, "models")], policy: "gated" },
        writable: { lower: [join(node.srv, "models")], upper: ["none", "ephemeral"], limits: { maxSizeBytes: "64Mi" } },
      },
    };
  }, serve);
}

const MODELS: PodVolume = { pod: "pod-1", volume: "models", attributes: { source: "models" } };
const PLAIN: PodVolume = { pod: "pod-1", volume: "plain", attributes: { source: "writable" } };
const SANDBOX: PodVolume = { pod: "pod-2", volume: "work", attributes: { source: "writable", upper: "ephemeral", maxSizeBytes: "1Mi" } };

describe("the CSI driver", () => {
  beforeAll(async () => {
    node = await nodeWithModels();
  });

  describe("a published volume", () => {
    test("is read by a pod without privilege as the policy of its source says, and goes without a trace", async () => {
      expect(await node.publish(MODELS)).toMatchObject(OK);
      expect(await node.publish(MODELS)).toMatchObject(OK);
      expect(await node.inPod(MODELS, "cat /mnt/weights")).toBe("weights");
      expect(await node.inPod(MODELS, "cat /mnt/secret")).toContain("Permission denied");
      const { response } = await node.stats(MODELS);
      expect(response?.volumeCondition).toMatchObject({ abnormal: false });
      expect(response?.usage.map(({ total }) => total > 0n)).toEqual([true, true]);
      expect(await node.unpublish(MODELS)).toMatchObject(OK);
      expect(await node.unpublish(MODELS)).toMatchObject(OK);
      expect(await node.stats(MODELS)).toMatchObject({ code: status.NOT_FOUND });
      expect(node.leftovers()).toEqual([]);
      expect(await node.endDriver()).toBe(0);
      await node.startDriver();
    });

    test("is judged by the pod that it was published for", async () => {
      const other: PodVolume = {
        ...MODELS,
        pod: "pod-7",
        facts: {
          ...publishRequest(MODELS, "").volumeContext,
          "csi.storage.k8s.io/pod.uid": "pod-7",
          "csi.storage.k8s.io/pod.namespace": "team-b",
        },
      };
      for (const volume of [MODELS, other]) expect(await node.publish(volume)).toMatchObject(OK);
      expect(await node.inPod(MODELS, "cat /mnt/team-a")).toBe("team-a");
      expect(await node.inPod(other, "cat /mnt/team-a")).toContain("Permission denied");
      expect(await node.inPod(other, "cat /mnt/weights")).toBe("weights");
      for (const volume of [MODELS, other]) expect(await node.unpublish(volume)).toMatchObject(OK);
    });

    test("has ephemeral space of the requested size, which goes with it", async () => {
      expect(await node.publish({ ...SANDBOX, group: "2000" })).toMatchObject(OK);
      expect(await node.inPod(SANDBOX, "stat -c '%g %a' /mnt", "1000")).toBe("2000 2775\n");
      expect(await node.inPod(SANDBOX, "cp /mnt/weights /mnt/copy", "2000")).toBe("");
      expect(await node.inPod(SANDBOX, "head -c 2000000 /dev/zero >/mnt/big", "2000")).toContain("No space left on device");
      expect(await node.inPod(SANDBOX, "cat /mnt/copy", "2000")).toBe("weights");
      expect(await node.unpublish(SANDBOX)).toMatchObject(OK);
      expect(await node.publish(SANDBOX)).toMatchObject(OK);
      expect(await node.inPod(SANDBOX, "ls /mnt")).toBe("secret\nteam-a\nweights\n");
      expect(await node.unpublish(SANDBOX)).toMatchObject(OK);
      expect(node.leftovers()).toEqual([]);
      expect(readFileSync(join(node.srv, "models/weights"), "utf8")).toBe("weights");
    });

    test("a published volume with a limit leaves the others their part of the node's memory", async () => {
      const [second, third] = ["pod-4", "pod-5"].map(
        (pod): PodVolume => ({ ...SANDBOX, pod, attributes: { ...SANDBOX.attributes, maxSizeBytes: "2Mi" } }),
      );
      expect(await node.publish(SANDBOX)).toMatchObject(OK);
      expect(await node.publish(second as PodVolume)).toMatchObject(OK);
      expect(await node.publish(third as PodVolume)).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
      expect(await node.unpublish(second as PodVolume)).toMatchObject(OK);
      expect(await node.publish(third as PodVolume)).toMatchObject(OK);
      for (const volume of [SANDBOX, third as PodVolume]) expect(await node.unpublish(volume)).toMatchObject(OK);
      expect(node.leftovers()).toEqual([]);
    });

    test("stays as it is if the configuration of the driver changes, or breaks", async () => {
      expect(await node.publish(MODELS)).toMatchObject(OK);
      const before = readFileSync(node.configFile, "utf8");
      node.configure({ sources: "none" });
      expect(await node.publish(MODELS)).toMatchObject(OK);
      expect(await node.publish(SANDBOX)).toMatchObject({ code: status.FAILED_PRECONDITION });
      expect(await node.inPod(MODELS, "cat /mnt/weights")).toBe("weights");
      writeFileSync(node.configFile, before);
      expect(await node.unpublish(MODELS)).toMatchObject(OK);
      expect(node.leftovers()).toEqual([]);
    });

    test("is mounted again with its ephemeral files if its server has died", async () => {
      expect(await node.publish(SANDBOX)).toMatchObject(OK);
      expect(await node.inPod(SANDBOX, "echo made >/mnt/made", "0")).toBe("");
      await node.killHost();
      expect((await node.stats(SANDBOX)).response?.volumeCondition).toMatchObject({ abnormal: true });
      expect(await node.publish(SANDBOX)).toMatchObject({ code: status.UNAVAILABLE });
      await node.startHost();
      expect(await node.publish(SANDBOX)).toMatchObject(OK);
      expect(await node.inPod(SANDBOX, "cat /mnt/made")).toBe("made\n");
      await node.killHost();
      // The pod ends while no host service is there.
      expect(await node.unpublish(SANDBOX)).toMatchObject(OK);
      expect(node.leftovers()).toEqual([]);
      await node.startHost();
    });

    test("is removed by a driver that starts if the kubelet has forgotten its pod", async () => {
      expect(await node.publish(SANDBOX)).toMatchObject(OK);
      await node.killDriver();
      await node.killHost();
      // As after a crash of the node: no mount, no directory of the pod.
      await scriptOutput(["umount", "-l", node.target(SANDBOX)]);
      rmSync(join(node.kubelet, "pods"), { recursive: true, force: true });
      await node.startHost();
      await node.startDriver();
      await eventually("the volume is gone", 30_000, () => node.leftovers().length === 0);
    });

    test("goes on with the next server if the host service has a keeper", async () => {
      const kept = await nodeWithModels(["--keeper", "on"]);
      expect(await kept.publish(SANDBOX)).toMatchObject(OK);
      expect(await kept.inPod(SANDBOX, "echo made >/mnt/made", "0")).toBe("");
      const { stdout } = await runSluice(["status", kept.target(SANDBOX), "--json"]);
      process.kill((JSON.parse(stdout) as { pid: number }).pid, "SIGKILL");
      expect(await kept.inPod(SANDBOX, "cat /mnt/made")).toBe("made\n");
      expect(await kept.publish(SANDBOX)).toMatchObject(OK);
      expect(await kept.inPod(SANDBOX, "cat /mnt/made")).toBe("made\n");
      expect(await kept.unpublish(SANDBOX)).toMatchObject(OK);
      expect(kept.leftovers()).toEqual([]);
    });
  });

  describe("calls of the Node service", () => {
    test("may come in any order, twice, and after a kill of the driver", async () => {
      const random = seededRandom(20);
      const published = new Set<PodVolume>();
      let kills = 0;
      const steps = ["publish", "publish", "unpublish", "unpublish", "stats", "kill"] as const;
      for (let step = 0; step < 24; step++) {
        const volume = random.of([PLAIN, SANDBOX]);
        const call = random.of(steps);
        if (call === "publish") {
          expect(await node.publish(volume)).toMatchObject(OK);
          published.add(volume);
        } else if (call === "unpublish") {
          expect(await node.unpublish(volume)).toMatchObject(OK);
          published.delete(volume);
        } else if (call === "stats") {
          expect(await node.stats(volume)).toMatchObject({ code: published.has(volume) ? status.OK : status.NOT_FOUND });
        } else if (kills++ < 2) {
          await node.killDriver();
          await node.startDriver();
        }
        for (const each of [PLAIN, SANDBOX]) expect(existsSync(join(node.target(each), "weights"))).toBe(published.has(each));
      }
      for (const volume of [PLAIN, SANDBOX]) expect(await node.unpublish(volume)).toMatchObject(OK);
      expect(node.leftovers()).toEqual([]);
    });

    test("calls of the Node service for one volume at the same time are refused with ABORTED, and others go on", async () => {
      const [first, second, other] = await Promise.all([node.publish(MODELS), node.publish(MODELS), node.publish(SANDBOX)]);
      expect([first.code, second.code].toSorted((a, b) => a - b)).toEqual([status.OK, status.ABORTED]);
      expect(other).toMatchObject(OK);
      for (const volume of [MODELS, SANDBOX]) expect(await node.unpublish(volume)).toMatchObject(OK);
    });

    test("tell what the driver can do", async () => {
      const info = await node.call((client) => client.nodeGetInfo.bind(client), {});
      expect(info.response).toMatchObject({ nodeId: "node-1", maxVolumesPerNode: 128n });
      const asked = await node.call<object, csi.NodeGetCapabilitiesResponse>((client) => client.nodeGetCapabilities.bind(client), {});
      expect(asked.response?.capabilities.map(({ type }) => type?.value.type)).toEqual([2, 4, 6]);
    });
  });

  describe("the driver refuses", () => {
    test("attributes that weaken a policy or name other paths, and leaves nothing behind", async () => {
      const outside = join(node.root, "outside");
      plant(outside, { host: "secret" });
      symlinkSync(outside, join(node.srv, "link"));
      const persistent = (lower: string): PodVolume => ({ pod: "pod-3", volume: "pv", persistent: true, attributes: { lower } });
      const inline = (attributes: Record<string, string>): PodVolume => ({ pod: "pod-3", volume: "inline", attributes });
      const refused: [PodVolume, number][] = [
        [inline({ lower: join(node.srv, "models") }), status.INVALID_ARGUMENT],
        [inline({ source: "models", policy: "gated" }), status.INVALID_ARGUMENT],
        [inline({ source: "models", decision: "mine" }), status.INVALID_ARGUMENT],
        [inline({ source: "../models" }), status.INVALID_ARGUMENT],
        [inline({ source: "models", options: "suid" }), status.INVALID_ARGUMENT],
        [inline({ source: "models", options: "lowerdir=/" }), status.INVALID_ARGUMENT],
        [inline({ source: "models", upper: "ephemeral" }), status.INVALID_ARGUMENT],
        [inline({ source: "writable", upper: "ephemeral", maxSizeBytes: "1Gi" }), status.INVALID_ARGUMENT],
        [persistent("/etc"), status.INVALID_ARGUMENT],
        [persistent(join(node.srv, "link")), status.INVALID_ARGUMENT],
        [persistent(`${node.srv}/../outside`), status.INVALID_ARGUMENT],
        [persistent(`${node.srv}/link/../models`), status.INVALID_ARGUMENT],
        [persistent(join(node.srv, "absent")), status.FAILED_PRECONDITION],
        [{ ...MODELS, pod: "pod-3", facts: {} }, status.FAILED_PRECONDITION],
        [{ ...MODELS, pod: "pod-3", facts: { ...publishRequest(MODELS, "").volumeContext } }, status.INVALID_ARGUMENT],
      ];
      for (const [volume, code] of refused) expect([volume, (await node.publish(volume)).code]).toEqual([volume, code]);
      expect(node.leftovers()).toEqual([]);
      expect(await node.publish(persistent(join(node.srv, "models")))).toMatchObject(OK);
      expect(await node.unpublish(persistent(""))).toMatchObject(OK);
    });

    test("targets that are not the kubelet's", async () => {
      const outside = join(node.root, "outside");
      mkdirSync(join(node.kubelet, "pods/pod-9/volumes/kubernetes.io~csi"), { recursive: true });
      mkdirSync(join(outside, "mount"), { recursive: true });
      symlinkSync(outside, join(node.kubelet, "pods/pod-9/volumes/kubernetes.io~csi/swapped"));
      const paths = [
        "/etc",
        outside,
        join(node.kubelet, "pods/pod-9/volumes/kubernetes.io~csi/../../../../../outside/mount"),
        `${node.kubelet}/pods/../pods/pod-9/volumes/kubernetes.io~csi/v/mount`,
        join(node.kubelet, "pods/pod-9/volumes/kubernetes.io~empty-dir/v/mount"),
      ];
      for (const targetPath of paths) {
        const request = publishRequest({ ...MODELS, pod: "pod-9" }, targetPath);
        expect(await node.call((client) => client.nodePublishVolume.bind(client), request)).toMatchObject({
          code: status.INVALID_ARGUMENT,
        });
        const undone = await node.call((client) => client.nodeUnpublishVolume.bind(client), { volumeId: "x", targetPath });
        expect(undone).toMatchObject({ code: status.INVALID_ARGUMENT });
      }
      const swapped = { ...MODELS, pod: "pod-9", volume: "swapped" };
      const request = publishRequest(swapped, node.target(swapped));
      expect(await node.call((client) => client.nodePublishVolume.bind(client), request)).toMatchObject({ code: status.INVALID_ARGUMENT });
      expect(await node.unpublish(swapped)).toMatchObject({ code: status.INVALID_ARGUMENT });
      expect(existsSync(join(outside, "mount"))).toBe(true);
    });
  });
});
