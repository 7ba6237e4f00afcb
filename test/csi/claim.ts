/** A node of a cluster with PersistentVolumeClaims: the driver may ask about them, and the test mounts them as the kubelet does. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { plant, scriptOutput } from "@sluice/testkit";
import { CsiNode, type PodVolume } from "./csi-node.js";
import { FakeCluster } from "./fake-cluster.js";

export interface ClaimNode {
  node: CsiNode;
  cluster: FakeCluster;
}

/** With the sources `models`, `closed` (no claims) and `data` (the lower layer is a claim). `serve`: further arguments of the host service. */
export async function startClaimNode(serve: readonly string[] = []): Promise<ClaimNode> {
  const cluster = await FakeCluster.start();
  const node = await CsiNode.start(
    (made) => {
      plant(join(made.srv, "models"), { weights: "weights", "dir/inner": "inner" });
      return {
        roots: [made.srv],
        sources: {
          models: { lower: [join(made.srv, "models")], upper: ["none", "pvc"] },
          closed: { lower: [join(made.srv, "models")] },
          data: { lower: "claim", upper: ["none", "ephemeral", "pvc"] },
        },
      };
    },
    serve,
    cluster,
  );
  return { node, cluster };
}

/** Storage with a claim, mounted on a node as a driver of claims does it once for all pods. */
export class Claim {
  readonly volume: string;
  readonly path: string;

  private constructor(
    readonly name: string,
    private readonly on: CsiNode,
  ) {
    this.volume = `pvc-${name}`;
    this.path = join(on.kubelet, "plugins/kubernetes.io/csi", this.volume, "globalmount");
  }

  static async make({ node, cluster }: ClaimNode, name: string, { type = "tmpfs", options = "rw" } = {}): Promise<Claim> {
    const claim = new Claim(name, node);
    mkdirSync(claim.path, { recursive: true });
    await scriptOutput(["mount", "-t", type, "-o", options, "claim", claim.path]);
    cluster.bind("team-a", name, claim.volume);
    return claim;
  }

  place(pod: string, plugin = "csi"): string {
    return join(this.on.kubelet, "pods", pod, "volumes", `kubernetes.io~${plugin}`, this.volume, plugin === "csi" ? "mount" : "");
  }

  /** As the kubelet does for a pod that lists the claim. */
  async mountFor(pod: string, plugin = "csi"): Promise<void> {
    const place = this.place(pod, plugin);
    mkdirSync(place, { recursive: true });
    await scriptOutput(["mount", "--bind", this.path, place]);
  }

  async makeReadOnly(): Promise<void> {
    await scriptOutput(["mount", "-o", "remount,ro", this.path]);
  }

  get upper(): string {
    return join(this.path, "sluice/work/upper");
  }
}

export const volumeOf = (pod: string, attributes: Readonly<Record<string, string>>): PodVolume => ({ pod, volume: "work", attributes });
export const writable = (pod: string, claim: string): PodVolume => volumeOf(pod, { source: "models", upper: "pvc", upperClaim: claim });
let pods = 0;
export const nextPod = (): string => `pod-${++pods}`;

/** Of the driver: mounts of claims are the kubelet's. */
export const leftovers = (node: CsiNode): string[] => node.leftovers().filter((path) => !path.includes("pvc-"));
