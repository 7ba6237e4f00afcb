/**
 * A node of a cluster without the cluster: a shared mount as a node has it, a host service and the driver in mount namespaces of their own
 * as in two pods, and a kubelet that makes the directories and calls that the kubelet makes (pkg/volume/csi/csi_mounter.go).
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { credentials, type ServiceError } from "@grpc/grpc-js";
import { csi } from "@sluice/service-csi";
import { bytes, cleanUp, descendantsOf, mountsBelow, runScript, scratch, scriptOutput } from "@sluice/testkit";

import type { FakeCluster } from "./fake-cluster.js";

const SLUICE = fileURLToPath(new URL("../../packages/cli/bin/sluice.cjs", import.meta.url));
/** Mounts go both ways, as with mountPropagation: Bidirectional. */
const CONTAINER = ["unshare", "--mount", "--propagation", "unchanged"];

export interface PodVolume {
  /** UID of the pod; its other facts follow from it. */
  pod: string;
  volume: string;
  attributes?: Readonly<Record<string, string>>;
  persistent?: boolean;
  readOnly?: boolean;
  group?: string;
  /** As the kubelet adds them; undefined: as it does with podInfoOnMount. */
  facts?: Readonly<Record<string, string>>;
}

/** OK is 0. */
export interface Outcome<T> {
  code: number;
  details: string;
  response: T | undefined;
}

type Unary<Q, A> = (request: Q, done: (error: ServiceError | null, response: A) => void) => unknown;

/** One of the two pods. It may be started again in another test than the one that started the node, so it does not end with a test. */
class Container {
  #child: ChildProcess | undefined;
  log = "";

  constructor(
    private readonly args: readonly string[],
    private readonly env: Readonly<Record<string, string>> = {},
  ) {}

  get pid(): number {
    return this.#child?.pid ?? -1;
  }

  /** Resolves when its standard output begins with `ready`. */
  async start(ready: string): Promise<void> {
    const [program = "", ...args] = [...CONTAINER, process.execPath, SLUICE, ...this.args];
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...this.env } });
    this.#child = child;
    child.stderr.on("data", (chunk: Buffer) => (this.log += chunk.toString()));
    let output = "";
    for await (const chunk of child.stdout) {
      output += String(chunk);
      if (output.startsWith(ready)) return;
    }
    throw new Error(`${this.args[0]} ended: ${output}${this.log}`);
  }

  async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const exit = once(child, "exit");
    child.kill(signal);
    await exit;
    return child.exitCode;
  }
}

export class CsiNode {
  readonly root: string;
  readonly kubelet: string;
  readonly state: string;
  readonly srv: string;
  readonly configFile: string;
  readonly #sockets: string;
  readonly #host: Container;
  readonly #driver: Container;
  #client: csi.NodeClient | undefined;

  private constructor(serve: readonly string[], cluster: FakeCluster | undefined) {
    this.root = scratch();
    this.kubelet = join(this.root, "kubelet");
    this.state = join(this.root, "state");
    this.srv = join(this.root, "srv");
    this.configFile = join(this.root, "csi.yaml");
    // Outside of the shared mount, and short: the path of a socket has at most 107 bytes.
    this.#sockets = scratch();
    this.#host = new Container(["serve", "--socket", this.hostSocket, ...serve]);
    const paths = [
      "--kubelet-dir",
      this.kubelet,
      "--state-dir",
      this.state,
      "--host-service",
      this.hostSocket,
      "--config",
      this.configFile,
      "--service-account",
      cluster?.serviceAccount ?? join(this.root, "none"),
    ];
    this.#driver = new Container(["csi", "--endpoint", `unix://${this.#socket}`, "--node-id", "node-1", ...paths], cluster?.env);
  }

  /** `config`: of the driver, with paths below `srv`. `serve`: further arguments of the host service. `cluster`: the API that the driver asks. */
  static async start(config: (node: CsiNode) => object, serve: readonly string[] = [], cluster?: FakeCluster): Promise<CsiNode> {
    const node = new CsiNode(serve, cluster);
    await scriptOutput(["mount", "--bind", node.root, node.root]);
    await scriptOutput(["mount", "--make-shared", node.root]);
    for (const directory of [node.kubelet, node.state, node.srv]) mkdirSync(directory);
    cleanUp(() => node.#stop());
    node.configure(config(node));
    await Promise.all([node.startHost(), node.startDriver()]);
    return node;
  }

  get hostSocket(): string {
    return join(this.#sockets, "host.sock");
  }

  get #socket(): string {
    return join(this.#sockets, "csi.sock");
  }

  get driverLog(): string {
    return this.#driver.log;
  }

  configure(config: object): void {
    writeFileSync(this.configFile, JSON.stringify(config));
  }

  startHost(): Promise<void> {
    return this.#host.start("serves mounts at");
  }

  async killHost(): Promise<void> {
    await this.#host.end("SIGKILL");
  }

  async startDriver(): Promise<void> {
    await this.#driver.start("serves volumes at");
    this.#client?.close();
    this.#client = new csi.NodeClient(`unix://${this.#socket}`, credentials.createInsecure());
  }

  /** Calls under way fail with UNAVAILABLE. */
  async killDriver(): Promise<void> {
    await this.#driver.end("SIGKILL");
  }

  endDriver(): Promise<number | null> {
    return this.#driver.end("SIGTERM");
  }

  target({ pod, volume }: PodVolume): string {
    return join(this.kubelet, "pods", pod, "volumes/kubernetes.io~csi", volume, "mount");
  }

  publish(volume: PodVolume): Promise<Outcome<csi.NodePublishVolumeResponse>> {
    const targetPath = this.target(volume);
    mkdirSync(join(targetPath, ".."), { recursive: true });
    return this.call((client) => client.nodePublishVolume.bind(client), publishRequest(volume, targetPath));
  }

  unpublish(volume: PodVolume): Promise<Outcome<csi.NodeUnpublishVolumeResponse>> {
    const targetPath = this.target(volume);
    return this.call((client) => client.nodeUnpublishVolume.bind(client), { volumeId: `csi-${volume.volume}`, targetPath });
  }

  stats(volume: PodVolume): Promise<Outcome<csi.NodeGetVolumeStatsResponse>> {
    const volumePath = this.target(volume);
    return this.call((client) => client.nodeGetVolumeStats.bind(client), { volumeId: `csi-${volume.volume}`, volumePath });
  }

  call<Q, A>(method: (client: csi.NodeClient) => Unary<Q, A>, request: Q): Promise<Outcome<A>> {
    const client = this.#client;
    if (client === undefined) throw new Error("the driver was not started");
    return new Promise((resolve) =>
      method(client)(request, (error, response) =>
        resolve(error === null ? { code: 0, details: "", response } : { code: error.code, details: error.details, response: undefined }),
      ),
    );
  }

  /** As a container of the pod runs it, which has the volume at /mnt and no privilege: standard output, or the error. */
  async inPod(volume: PodVolume, command: string, as = "65534"): Promise<string> {
    const { code, stdout, stderr } = await runScript(this.podCommand(volume, command, as));
    return code === 0 ? stdout : stderr;
  }

  podCommand(volume: PodVolume, command: string, as = "65534"): string[] {
    const restricted = `--reuid=${as} --regid=${as} --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all`;
    const script = `mount --rbind "$1" /mnt && exec setpriv ${restricted} sh -c "$2"`;
    return ["unshare", "--mount", "--propagation", "slave", "sh", "-c", script, "pod", this.target(volume), command];
  }

  /** Everything that volumes left: mounts, and directories of the driver and at targets. */
  leftovers(): string[] {
    const mounts = mountsBelow(bytes(this.root)).map(({ mountpoint }) => mountpoint);
    const volumes = existsSync(join(this.state, "volumes")) ? readdirSync(join(this.state, "volumes")) : [];
    const pods = existsSync(join(this.kubelet, "pods")) ? readdirSync(join(this.kubelet, "pods"), { recursive: true }).map(String) : [];
    return [...mounts.filter((mountpoint) => mountpoint !== this.root), ...volumes, ...pods.filter((path) => path.endsWith("/mount"))];
  }

  /** Children of the two pods, such as decision services of volumes. */
  childProcesses(): string[] {
    return [this.#host, this.#driver].flatMap(({ pid }) => descendantsOf(pid).map(({ command }) => command));
  }

  async #stop(): Promise<void> {
    this.#client?.close();
    await this.endDriver();
    await this.#host.end("SIGTERM");
    for (const { mountpoint } of mountsBelow(bytes(this.root))) await runScript(["umount", "-l", mountpoint]);
    rmSync(this.state, { recursive: true, force: true });
  }
}

function factsOf({ pod, persistent = false, facts }: PodVolume): Readonly<Record<string, string>> {
  return (
    facts ?? {
      "csi.storage.k8s.io/pod.name": `name-${pod}`,
      "csi.storage.k8s.io/pod.namespace": "team-a",
      "csi.storage.k8s.io/pod.uid": pod,
      "csi.storage.k8s.io/serviceAccount.name": "trainer",
      "csi.storage.k8s.io/ephemeral": String(!persistent),
    }
  );
}

export function publishRequest(volume: PodVolume, targetPath: string): csi.NodePublishVolumeRequest {
  return {
    volumeId: `csi-${volume.volume}`,
    targetPath,
    readonly: volume.readOnly ?? false,
    volumeCapability: {
      accessType: { $case: "mount", value: { fsType: "", mountFlags: [], volumeMountGroup: volume.group ?? "" } },
      accessMode: { mode: csi.VolumeCapability_AccessMode_Mode.SINGLE_NODE_WRITER },
    },
    volumeContext: { ...volume.attributes, ...factsOf(volume) },
  };
}
