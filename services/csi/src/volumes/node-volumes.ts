/**
 * The volumes of this node. Each call finds out what is there, by the mount table and the host service, and does what is missing: so a call
 * may be repeated, and a driver that was killed between any two steps leaves nothing that the next call does not continue or remove.
 */
import { mkdirSync, readdirSync, rmdirSync, type StatsFs } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { endThrough, mountsOf, mountThrough, wire } from "@sluice/host-api";
import type { Logger } from "@sluice/runtime";
import { codeOf } from "@sluice/runtime/cli";
import { readDriverConfig } from "../config/driver-config.js";
import { planVolume, podOf, type VolumePlan } from "../config/volume-plan.js";
import { claimLayers, unfitClaim } from "../claims/claim-layers.js";
import { bindClaim, readOnlyClaim } from "../claims/claim-mount.js";
import { volumeOfClaim } from "../claims/cluster-claims.js";
import { CsiError, csiErrorOf, invalid, mayBeMounted, unavailable, unready } from "../csi-error.js";
import { mountSpec, volumeName } from "./mount-spec.js";
import { detachAll, healthOf, mountedType, SLUICE_TYPE } from "./place-state.js";
import { parentExists, type Target, targetOf } from "./target.js";
import { ownerOf, type UpperLayer, VolumeDirectory } from "./volume-directory.js";

const LIST_MS = 5_000;
/** Less than the two minutes that the kubelet waits for a call. */
const MOUNT_MS = 60_000;
const END_MS = 60_000;

export interface NodeOptions {
  kubeletDirectory: string;
  /** The driver's own directory on the node. */
  stateDirectory: string;
  /** The socket of the host service. */
  hostSocket: string;
  /** The file of the driver's administrator. */
  configFile: string;
  /** With the driver's token for the API of the cluster, which is asked about claims alone. */
  serviceAccountDirectory: string;
}

export interface Published {
  target: string;
  context: Readonly<Record<string, string>>;
  readOnly: boolean;
  /** The pod's fsGroup, "" for none. */
  group: string;
}

export type Usage = { kind: "serving"; space: StatsFs } | { kind: "abnormal"; message: string };

export class NodeVolumes {
  readonly #busy = new Set<string>();

  constructor(
    private readonly options: NodeOptions,
    private readonly log: Logger,
  ) {}

  /** Resolves when the volume serves at the target. @throws CsiError */
  publish(published: Published): Promise<void> {
    return this.#alone(published.target, (target) => this.#publish(target, published));
  }

  /** Resolves when nothing of the volume is left. One that was never published is no error. @throws CsiError */
  unpublish(target: string): Promise<void> {
    return this.#alone(target, (place) => this.#unpublish(place));
  }

  async usage(given: string): Promise<Usage> {
    const { path } = targetOf(given, this.options.kubeletDirectory);
    if (mountedType(path) === undefined) throw new CsiError(status.NOT_FOUND, `${given}: no volume is published there`);
    const health = await healthOf(path);
    if (health.kind === "serving") return health;
    const dead = health.kind === "dead";
    return { kind: "abnormal", message: dead ? "the server of the mount has died (ENOTCONN)" : "the server of the mount does not answer" };
  }

  /** Removes what is left of pods that the kubelet has forgotten, for instance while the driver was not there. */
  async sweep(): Promise<void> {
    const { kubeletDirectory, stateDirectory } = this.options;
    for (const key of readdirSync(this.#volumes())) {
      const at = key.indexOf(".");
      const target = join(kubeletDirectory, "pods", key.slice(0, at), "volumes/kubernetes.io~csi", key.slice(at + 1), "mount");
      try {
        if (parentExists(targetOf(target, kubeletDirectory))) continue;
        await this.unpublish(target);
        this.log.info({ volume: key }, "removed what was left of a volume whose pod is gone");
      } catch (error) {
        this.log.warn({ volume: key, directory: stateDirectory, why: String(error) }, "a volume of no pod could not be removed");
      }
    }
  }

  async #alone(given: string, work: (target: Target) => Promise<void>): Promise<void> {
    const target = targetOf(given, this.options.kubeletDirectory);
    if (this.#busy.has(target.key)) throw new CsiError(status.ABORTED, "another call for this volume is under way");
    this.#busy.add(target.key);
    try {
      await work(target);
    } finally {
      this.#busy.delete(target.key);
    }
  }

  async #publish(target: Target, published: Published): Promise<void> {
    const pod = podOf(published.context);
    if (pod.uid !== target.podUid) throw invalid("target path: it belongs to another pod than the volume");
    const name = volumeName(pod, target.name);
    // The kubelet calls for published volumes, too, every minute or two: an edit of the configuration is for new volumes.
    if (await this.#serves(target, name)) return;
    const config = readDriverConfig(this.options.configFile);
    const plan = planVolume(published.context, config);
    const directory = this.#directory(target);
    const before = directory.exists && keepsDirectory(plan);
    try {
      await this.#mount({ target, plan, name, directory, roots: config.roots }, published);
    } catch (error) {
      const { code } = csiErrorOf(error);
      // After other errors the kubelet may never unpublish. A volume that was published before keeps its ephemeral files.
      if (!before && !mayBeMounted(code))
        await this.#unpublish(target).catch((why: unknown) => this.log.warn({ why: String(why) }, "not tidied up"));
      throw error;
    }
  }

  async #mount(volume: PlannedVolume, { readOnly, group }: Published): Promise<void> {
    const { target, plan, name, directory, roots } = volume;
    if (!parentExists(target)) throw invalid(`target path: ${target.parent} does not exist (ENOENT)`);
    directory.make();
    const { lowerClaim } = plan;
    const lowers = lowerClaim === undefined ? directory.pinAll(plan.lowers, roots) : [await this.#pin(volume, lowerClaim, "lower0")];
    const layers = await this.#upperLayer(volume, lowers[0] ?? "", group);
    makeTarget(target);
    const beneath = plan.upper === "pvc" ? directory.path : undefined;
    const spec = mountSpec(plan, { mountpoint: target.path, name, lowers, layers, readOnly, beneath });
    const tell = (line: string): void => this.log.info({ volume: name, line }, "notice of the mount");
    await mountThrough(this.options.hostSocket, spec, tell, MOUNT_MS).catch((error: unknown) => {
      throw claimRefusal(plan, error) ?? error;
    });
    if (mountedType(target.path) === SLUICE_TYPE) return;
    await endThrough(this.options.hostSocket, target.path, END_MS);
    throw new CsiError(
      status.INTERNAL,
      `${target.path}: the mount of the host service does not appear here: mount the kubelet's directory with Bidirectional`,
    );
  }

  async #upperLayer(volume: PlannedVolume, lower: string, group: string): Promise<UpperLayer | undefined> {
    const { plan, directory, target } = volume;
    if (plan.upper === "none") return undefined;
    if (plan.upperClaim === undefined) return directory.ephemeral(plan, lower, group);
    const place = await this.#pin(volume, plan.upperClaim, "claim");
    return claimLayers({ claim: plan.upperClaim, place, volume: target.name, owner: ownerOf(lower, group) });
  }

  /** A claim of the pod's own namespace, as the kubelet mounted it for this very pod. */
  #pin({ plan: { pod }, target, directory }: PlannedVolume, claim: string, name: "lower0" | "claim"): Promise<string> {
    return directory.pinClaim(name, async (place) => {
      const { serviceAccountDirectory: directory } = this.options;
      const volume = await volumeOfClaim({ directory, namespace: pod.namespace, claim });
      const writes = name === "claim";
      if (writes && !volume.writable) throw readOnlyClaim(claim);
      bindClaim({ claim, volume: volume.name, podUid: target.podUid }, target.kubeletDirectory, { place, writes });
    });
  }

  /** Whether this volume serves there already. A mount that does not is taken away. */
  async #serves(target: Target, name: string): Promise<boolean> {
    const hosted = await this.#hosted(target);
    const type = mountedType(target.path);
    if (hosted === undefined && type === undefined) return false;
    if (hosted?.state === wire.HostedMount_State.SERVING && type === SLUICE_TYPE) {
      if (hosted.name !== name) throw new CsiError(status.ALREADY_EXISTS, `${target.path}: another volume is published there`);
      return true;
    }
    if (type !== undefined && type !== SLUICE_TYPE)
      throw new CsiError(status.INTERNAL, `${target.path}: a file system of type ${type} is mounted there`);
    if (hosted === undefined && (await healthOf(target.path)).kind !== "dead")
      throw unavailable(`${target.path}: another server has a mount there`);
    this.log.warn({ target: target.path }, "took away a mount that did not serve");
    await this.#end(target, hosted);
    return false;
  }

  async #unpublish(target: Target): Promise<void> {
    const inPlace = parentExists(target);
    const type = mountedType(target.path);
    // If the host service is away, a dead mount can still be cleared.
    const hosted = await this.#hosted(target).catch((error: unknown) => {
      // One that hangs may still make the mount.
      if (isLate(error)) throw error;
      if (type !== SLUICE_TYPE) return undefined;
      return healthOf(target.path).then(({ kind }) => {
        if (kind !== "dead") throw error;
        return undefined;
      });
    });
    await this.#end(target, hosted);
    if (inPlace) removeTarget(target);
    await this.#directory(target).remove();
  }

  async #end({ path }: Target, hosted: wire.HostedMount | undefined): Promise<void> {
    // After an error of the mount it has ended, too: its users were cut off after the grace period.
    if (hosted !== undefined) await endThrough(this.options.hostSocket, path, END_MS).catch((error: unknown) => this.#tolerate(error));
    const left = detachAll(path);
    if (left < 0) throw new CsiError(status.INTERNAL, `${path}: it cannot be unmounted (errno ${-left})`);
  }

  #tolerate(error: unknown): void {
    if (mayBeMounted(csiErrorOf(error).code)) throw error;
    this.log.warn({ why: String(error) }, "a mount did not end in order");
  }

  async #hosted({ path }: Target): Promise<wire.HostedMount | undefined> {
    return (await mountsOf(this.options.hostSocket, LIST_MS)).find(({ mountpoint }) => mountpoint === path);
  }

  #volumes(): string {
    const path = join(this.options.stateDirectory, "volumes");
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return path;
  }

  #directory({ key }: Target): VolumeDirectory {
    return new VolumeDirectory(join(this.#volumes(), key));
  }
}

/** Whether a failed call leaves what an earlier one made. Files on a claim stay in any case, and a bound claim must not stay in use. */
function keepsDirectory({ upper, lowerClaim }: VolumePlan): boolean {
  return upper === "ephemeral" || (upper === "none" && lowerClaim === undefined);
}

/** Of the error of a mount. It names a directory of the driver, which tells the author of a pod nothing. */
function claimRefusal({ upperClaim }: VolumePlan, error: unknown): CsiError | undefined {
  if (upperClaim === undefined || !(error instanceof Error)) return undefined;
  if (error.message.includes("takes no whiteouts")) return unfitClaim(upperClaim, "it takes no whiteouts");
  if (!error.message.includes("(EBUSY)")) return undefined;
  const problem = `claim ${upperClaim}: another mount writes to this volume's upper layer on it (EBUSY)`;
  return unready(`${problem}: wait for the end of the other pod, or give each pod a claim of its own`);
}

function isLate(error: unknown): boolean {
  const { cause } = error as { cause?: { code?: unknown } };
  return cause?.code === status.DEADLINE_EXCEEDED;
}

interface PlannedVolume {
  target: Target;
  plan: VolumePlan;
  name: string;
  directory: VolumeDirectory;
  roots: readonly string[];
}

function makeTarget({ path }: Target): void {
  try {
    mkdirSync(path, { mode: 0o750 });
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw new CsiError(status.INTERNAL, `${path}: it cannot be made (${codeOf(error)})`, { cause: error });
  }
}

function removeTarget({ path }: Target): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return;
    throw new CsiError(status.INTERNAL, `${path}: it cannot be removed (${codeOf(error)})`, { cause: error });
  }
}
