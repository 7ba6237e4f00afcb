/** `sluice status` without a mount point: all mounts that this user can see, one in a line. */
import { askOnce, type MountStatus } from "@sluice/mount-control";
import { CliError, escapeLine, escapeTextName, failed, table } from "@sluice/runtime/cli";
import { type Place, placesOf } from "../places.js";
import { duration } from "./status-command.js";

/** A server that is stopped must not hold up the list. */
const PATIENCE_MS = 2_000;

/** One object of `--json`. Without an answer there is only a problem. */
interface ListedMount {
  name: string;
  mountpoint: string;
  state?: MountStatus["state"];
  uptimeMs?: number;
  policy?: MountStatus["policy"];
  replicas?: { ready: number; known: number };
  openFiles?: number;
  denialsLastMinute?: number | null;
  /** Why the mount does not answer. */
  problem?: string;
}

const isObject = (value: unknown): boolean => value instanceof Object;
const isText = (value: unknown): boolean => typeof value === "string";

/** The process that answers may be a program of another user. @throws CliError if it gives no status */
function statusIn(answer: unknown, mountpoint: string): MountStatus {
  const { name, uptimeMs, decider, openFilesByMode, policy } = Object(answer) as Partial<MountStatus>;
  const knowsPolicy = policy === null || (isText(policy?.policyId) && (policy?.summary === null || isText(policy?.summary)));
  const listsReplicas = Array.isArray(decider?.replicas) && decider.replicas.every(isObject);
  if (isText(name) && typeof uptimeMs === "number" && isObject(openFilesByMode) && knowsPolicy && listsReplicas)
    return answer as MountStatus;
  throw failed(mountpoint, "the process that answers is not a Sluice daemon (EPROTO)", "look at the processes of the mount's owner");
}

async function look({ name, mountpoint, control }: Place): Promise<ListedMount> {
  try {
    const status = statusIn(await askOnce(mountpoint, control, { method: "status" }, PATIENCE_MS), mountpoint);
    const { replicas } = status.decider;
    return {
      name: name === mountpoint ? status.name : name,
      mountpoint,
      state: status.state,
      uptimeMs: status.uptimeMs,
      policy: status.policy,
      replicas: { ready: replicas.filter(({ state }) => state === "ready").length, known: replicas.length },
      openFiles: Object.values(status.openFilesByMode).reduce((sum, count) => sum + count, 0),
      denialsLastMinute: status.denialsLastMinute ?? null,
    };
  } catch (error) {
    if (error instanceof CliError) return { name, mountpoint, problem: error.problem };
    throw error;
  }
}

function policyWord(policy: MountStatus["policy"]): string {
  if (policy === null) return "not known yet";
  if (policy.unconditionalGrant) return "none";
  const refused = policy.refusedEdit === null ? "" : ", newer edit refused";
  return `${policy.policyId}${policy.summary === null ? "" : ` (${policy.summary})`}${refused}`;
}

/** Without a policy nobody is asked. A name that cannot be resolved leads to no replica. */
function replicasWord({ known, ready }: NonNullable<ListedMount["replicas"]>, policy: MountStatus["policy"]): string {
  if (known === 0) return policy?.unconditionalGrant === true ? "-" : "none found";
  return `${ready} of ${known} ready`;
}

function row(mount: ListedMount): string[] {
  const { name, mountpoint, state, uptimeMs = 0, policy = null, replicas = { known: 0, ready: 0 }, openFiles, denialsLastMinute } = mount;
  if (mount.problem !== undefined) return [escapeTextName(mountpoint), "-", "-", `no answer: ${mount.problem}`];
  const age = `${duration(uptimeMs)}${state === "draining" ? ", ending" : ""}`;
  const counts = [String(openFiles), denialsLastMinute === null ? "?" : String(denialsLastMinute)];
  return [escapeTextName(mountpoint), escapeTextName(name), age, policyWord(policy), replicasWord(replicas, policy), ...counts];
}

const HEAD = ["MOUNT POINT", "NAME", "UP", "POLICY", "REPLICAS", "OPEN FILES", "DENIED/MIN"];

export async function listMounts(json: boolean): Promise<void> {
  const mounts = await Promise.all(placesOf(undefined, undefined).map(look));
  if (json) process.stdout.write(`${JSON.stringify(mounts, null, 2)}\n`);
  else if (mounts.length === 0) process.stderr.write("no mounts: 'sluice mount --help' shows how to make one\n");
  else process.stdout.write(`${table(HEAD, mounts.map(row)).map(escapeLine).join("\n")}\n`);
}
