/**
 * Attributes of a volume to the mount that it gets. Attributes of an inline volume come from the author of a pod: they name only sources that
 * the administrator published, and never weaken the policy or the limits of a source. Those of a PersistentVolume or StorageClass come from an
 * administrator of the cluster.
 */
import { type CsiError, invalid, unready } from "../csi-error.js";
import { type DecisionService, type DriverConfig, NAME, type Source } from "./driver-config.js";

export type { DecisionService };
import { parseQuantity } from "./quantity.js";

type Upper = "none" | "ephemeral" | "pvc";

/** The pod that a volume is published for, as the kubelet tells it. */
export interface Pod {
  name: string;
  namespace: string;
  uid: string;
  serviceAccount: string;
}

export interface Limits {
  sizeBytes: number | undefined;
  inodes: number | undefined;
}

export interface VolumePlan {
  pod: Pod;
  /** Paths on the node, topmost first; each must lie below a listed root. */
  lowers: readonly string[];
  /** In place of `lowers`: a claim of the pod's namespace. */
  lowerClaim: string | undefined;
  upper: Upper;
  /** With the upper mode "pvc": the claim of the pod's namespace that the changes go to. */
  upperClaim: string | undefined;
  limits: Limits;
  /** All volumes of the node with a limit together. */
  memoryBytes: number;
  policyFile: string | undefined;
  decision: DecisionService | undefined;
  onOutage: string | undefined;
  maxStackDepth: number | undefined;
  /** Words for -o, all from the allow-list. */
  options: readonly string[];
}

const PREFIX = "csi.storage.k8s.io/";
/** The kubelet adds them after the attributes of the user, whose own values for these keys are lost. */
const FACTS = ["pod.name", "pod.namespace", "pod.uid", "serviceAccount.name", "ephemeral"] as const;
/** Attributes of any volume, of a volume without a source, and those of external-provisioner. */
const OF_ALL = ["source", "lowerClaim", "upper", "upperClaim", "maxSizeBytes", "maxInodes", "options"];
const OF_ADMINISTRATORS = ["lower", "policy", "decision", "onOutage", "maxStackDepth"];

/** Words that take nothing away from a policy or the limits of a volume. */
const OPTIONS = new Set(["ro", "noexec", "nosymfollow", "noatime", "nodiratime", "relatime", "sync", "coherent_readers", "shared_lower"]);
/** Set on each volume. */
const ALWAYS = ["nosuid", "nodev"];
/** The pod can change what is on a claim. Elsewhere somebody may forge marks there that redirect a name to a file that a policy hides. */
const OF_CLAIMS = { lower: ["shared_lower"], upper: ["redirect_dir=nofollow", "metacopy=off"] };
const CLAIM = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

type Context = Readonly<Record<string, string>>;

/** @throws CsiError */
export function podOf(context: Context): Pod {
  const [name = "", namespace = "", uid = "", serviceAccount = ""] = FACTS.map((fact) => context[PREFIX + fact]);
  if (name === "" || namespace === "" || uid === "")
    throw unready("the kubelet did not say which pod the volume is for: set podInfoOnMount in the CSIDriver object");
  return { name, namespace, uid, serviceAccount };
}

function isInline(context: Context): boolean {
  const told = context[`${PREFIX}ephemeral`];
  if (told === "true" || told === "false") return told === "true";
  throw unready("the kubelet did not say whether the volume is inline: set podInfoOnMount in the CSIDriver object");
}

function checkKeys(context: Context, allowed: readonly string[]): void {
  const wrong = Object.keys(context).find(
    (key) => !key.startsWith(PREFIX) && !key.startsWith("storage.kubernetes.io/") && !allowed.includes(key),
  );
  if (wrong === undefined) return;
  if (OF_ADMINISTRATORS.includes(wrong)) throw invalid(`attribute ${wrong}: an inline volume cannot have it: name a source`);
  throw invalid(`attribute ${wrong}: there is no such attribute: use ${allowed.join(", ")}`);
}

function found<T>(kind: string, name: string, all: Readonly<Record<string, T>>): T {
  const entry = NAME.test(name) && Object.hasOwn(all, name) ? all[name] : undefined;
  if (entry === undefined) throw invalid(`attribute ${kind}: the driver has no ${kind} of this name: ask its administrator`);
  return entry;
}

/** "*" stands for any run of characters. */
function matches(pattern: string, text: string): boolean {
  const escaped = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${escaped.join("[^/]*")}$`).test(text);
}

/** A volume that an administrator described in a PersistentVolume or StorageClass. */
function describedSource(context: Context): Source {
  const { lower = "", policy, decision, onOutage, maxStackDepth } = context;
  if (lower === "") throw invalid("attribute lower or source is missing");
  const lowers = lower.split(":");
  if (!lowers.every((path) => /^\/[^\0,\\]*$/.test(path)))
    throw invalid("attribute lower: it is not a list of absolute paths with ':' between");
  if (policy !== undefined && decision !== undefined) throw invalid("attribute policy: it cannot be combined with decision");
  const outage = (["deny", "mediate", "stale"] as const).find((mode) => mode === onOutage);
  if (onOutage !== undefined && outage === undefined) throw invalid("attribute onOutage: it is none of deny, mediate, stale");
  if (maxStackDepth !== undefined && !/^[12]$/.test(maxStackDepth)) throw invalid("attribute maxStackDepth: it is neither 1 nor 2");
  return {
    lower: lowers,
    policy,
    decision,
    onOutage: outage,
    upper: ["none", "ephemeral", "pvc"],
    maxStackDepth: maxStackDepth === undefined ? undefined : maxStackDepth === "1" ? 1 : 2,
  };
}

function sourceOf(context: Context, { namespace }: Pod, config: DriverConfig): Source {
  const inline = isInline(context);
  if (inline && context["source"] === undefined) {
    checkKeys(context, OF_ALL);
    throw invalid("attribute source is missing: an inline volume names a source of the driver");
  }
  if (context["source"] === undefined) {
    checkKeys(context, [...OF_ALL, ...OF_ADMINISTRATORS]);
    return describedSource(context);
  }
  checkKeys(context, OF_ALL);
  const source = found("source", context["source"], config.sources);
  const open = source.namespaces === undefined || source.namespaces.some((pattern) => matches(pattern, namespace));
  if (!open) throw invalid(`attribute source: the namespace ${namespace} may not use this source: ask the administrator of the driver`);
  return source;
}

function upperOf(context: Context, source: Source): Upper {
  const wanted = context["upper"] ?? "none";
  const upper = source.upper.find((each) => each === wanted);
  if (upper !== undefined) return upper;
  throw invalid(`attribute upper: this source does not offer it: use ${source.upper.join(" or ")}`);
}

/** A claim is named if, and only if, the volume has a layer on one. */
function claimOf(key: "lowerClaim" | "upperClaim", context: Context, needed: boolean): string | undefined {
  const claim = context[key];
  const without = key === "lowerClaim" ? "a source with lower: claim" : "upper: pvc";
  if (claim !== undefined && !needed) throw invalid(`attribute ${key}: it is for ${without}`);
  if (!needed) return undefined;
  if (claim === undefined) throw invalid(`attribute ${key} is missing: name a PersistentVolumeClaim of the pod`);
  if (!CLAIM.test(claim)) throw invalid(`attribute ${key}: it is not the name of a PersistentVolumeClaim`);
  return claim;
}

function claimsOf(context: Context, source: Source, upper: Upper): Pick<VolumePlan, "lowerClaim" | "upperClaim"> {
  const lowerClaim = claimOf("lowerClaim", context, source.lower === "claim");
  const upperClaim = claimOf("upperClaim", context, upper === "pvc");
  if (lowerClaim !== undefined && lowerClaim === upperClaim)
    throw invalid("attribute upperClaim: it is the lower layer already: name another claim");
  return { lowerClaim, upperClaim };
}

/** The smallest of the wanted and the allowed limits. */
function limitOf(key: "maxSizeBytes" | "maxInodes", context: Context, allowed: readonly (number | undefined)[]): number | undefined {
  const text = context[key];
  const wanted = text === undefined ? undefined : parseQuantity(text);
  if (text !== undefined && wanted === undefined) throw invalid(`attribute ${key}: it is not a quantity such as 512Mi`);
  const most = Math.min(...allowed.map((limit) => limit ?? Infinity));
  if (wanted !== undefined && wanted > most) throw invalid(`attribute ${key}: at most ${most} is allowed here`);
  const limit = wanted ?? most;
  return limit === Infinity ? undefined : limit;
}

function optionsOf(context: Context, source: Source, upper: Upper): string[] {
  const wanted = (context["options"] ?? "").split(",").filter((word) => word !== "");
  const wrong: CsiError[] = wanted
    .filter((word) => !OPTIONS.has(word))
    .map(() => invalid(`attribute options: a word is not allowed: use ${[...OPTIONS].join(", ")}`));
  if (wrong[0] !== undefined) throw wrong[0];
  const ofClaims = [...(source.lower === "claim" ? OF_CLAIMS.lower : []), ...(upper === "pvc" ? OF_CLAIMS.upper : [])];
  return [...new Set([...ALWAYS, ...(source.options ?? []), ...wanted, ...ofClaims])];
}

/** @throws CsiError */
export function planVolume(context: Context, config: DriverConfig): VolumePlan {
  const pod = podOf(context);
  const source = sourceOf(context, pod, config);
  const upper = upperOf(context, source);
  const limit = (key: "maxSizeBytes" | "maxInodes"): number | undefined =>
    limitOf(key, context, [source.limits?.[key], config.ephemeral[key]]);
  const limits = { sizeBytes: limit("maxSizeBytes"), inodes: limit("maxInodes") };
  // Its size would be half of the node's memory.
  if (limits.inodes !== undefined && limits.sizeBytes === undefined) throw invalid("attribute maxInodes: it needs a maxSizeBytes");
  const limited = context["maxSizeBytes"] !== undefined || context["maxInodes"] !== undefined;
  if (limited && upper !== "ephemeral") throw invalid("attribute maxSizeBytes: limits are for upper: ephemeral");
  const memoryBytes = config.ephemeral.totalBytes;
  if (upper === "ephemeral" && limits.sizeBytes !== undefined && memoryBytes === undefined)
    throw unready("the driver has no memory for volumes with a limit: set ephemeral.totalBytes in its configuration");
  return {
    pod,
    lowers: source.lower === "claim" ? [] : source.lower,
    ...claimsOf(context, source, upper),
    upper,
    limits: upper === "ephemeral" ? limits : { sizeBytes: undefined, inodes: undefined },
    memoryBytes: memoryBytes ?? 0,
    policyFile: source.policy === undefined ? undefined : found("policy", source.policy, config.policies),
    decision: source.decision === undefined ? undefined : found("decision", source.decision, config.decisions),
    onOutage: source.onOutage,
    maxStackDepth: source.maxStackDepth,
    options: optionsOf(context, source, upper),
  };
}
