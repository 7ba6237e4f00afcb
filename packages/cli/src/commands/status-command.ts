/** `sluice status`: the state of a mount, for people and as JSON. */
import { counted, escapeLine, escapeTextName, table, wrong } from "@sluice/runtime/cli";
import type { Command } from "commander";
import { askOnce, type MountStatus } from "@sluice/mount-control";
import { placeOf } from "../place-of.js";
import { controlOption } from "./shared-options.js";

function counts(values: Record<string, number>): string {
  const entries = Object.entries(values).filter(([, value]) => value !== 0);
  return entries.length === 0 ? "none" : entries.map(([name, value]) => `${name} ${value}`).join(", ");
}

export function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  if (hours >= 48) return `${Math.floor(hours / 24)} days`;
  return hours > 0 ? `${hours} h ${minutes} min` : minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

function passthroughWord({ passthrough }: MountStatus["overlay"]["layers"][number]): string {
  if (passthrough.eligible) return "eligible";
  return passthrough.untried === true ? passthrough.reason : `not eligible: ${passthrough.reason}`;
}

function policyLine(status: MountStatus): string {
  if (status.policy === null) return "not known yet";
  if (status.policy.unconditionalGrant) return "none: everything is granted";
  const { policyId, revision, refusedEdit, summary } = status.policy;
  const words = summary === null ? "" : ` (${summary})`;
  const inForce = `${policyId}${words}, revision ${revision.sequence} (${revision.digest.slice(0, 12)})`;
  return refusedEdit === null ? inForce : `${inForce}; a newer edit was refused: ${refusedEdit}`;
}

function splitLines({ decider }: MountStatus): string[] {
  if (decider.split.length === 0) return [];
  const revisions = decider.split.map(({ sequence, digest }) => `${sequence} (${digest.slice(0, 12)})`);
  return [`            SPLIT: decision services hold ${revisions.join(" and ")}: the stricter answer holds`];
}

/** The status of an older server has no such field. */
function unprotectedLines({ decider: { unprotected } }: MountStatus): string[] {
  if (unprotected === null || unprotected === undefined) return [];
  return [`            not protected from its own user, who may stop or signal it: ${unprotected}`];
}

/** How many of the replicas behind the target answer. */
function replicasWord({ decider: { replicas } }: MountStatus): string {
  if (replicas.length === 0) return "";
  const ready = replicas.filter(({ state }) => state === "ready").length;
  return `, ${ready} of ${counted(replicas.length, "replica")}`;
}

function cacheLine({ decider: { cache } }: MountStatus): string {
  if (cache === null) return "none";
  return `${counted(cache.entries, "answer")} cached, ${counted(cache.hits, "hit")}, ${cache.misses} asked, ${cache.uncacheable} that could not be cached`;
}

function revokedLine({ revocation }: MountStatus): string {
  const { passing, refused, onRevoke, holdersUnseen, signalled } = revocation;
  const left = counted(passing, "open file still passes", "open files still pass");
  const words = `${left} through, ${counted(refused, "is", "are")} refused; on revoke: ${onRevoke}`;
  const signals = signalled > 0 ? `, ${counted(signalled, "holder")} signalled` : "";
  return `${words}${signals}${holdersUnseen === null ? "" : ` (not all holders can be seen: ${holdersUnseen})`}`;
}

/** A mount that never asked anybody has no such line. */
function askLines({ asks, policy }: MountStatus): string[] {
  if (asks === undefined || (policy?.asks !== true && asks.waiting + asks.crowdedOut === 0)) return [];
  const denied = asks.crowdedOut === 0 ? "" : `; ${asks.crowdedOut} denied at once, since so many waited`;
  const how = asks.waiting === 0 ? "" : ": see 'sluice asks'";
  return [`asks        ${counted(asks.waiting, "open waits", "opens wait")} for a person, of at most ${asks.most}${denied}${how}`];
}

function staleLines({ overlay: { staleReopens } }: MountStatus): string[] {
  if (staleReopens === 0) return [];
  return [`            ${counted(staleReopens, "open")} for writing by a reader's descriptor got ESTALE: --coherent-readers avoids that`];
}

function copyUpLines({ overlay }: MountStatus): string[] {
  return overlay.copyUpsUnderWay.map(({ path, sizeBytes, copiedBytes, elapsedMs }) => {
    const percent = sizeBytes === 0 ? 100 : Math.floor((copiedBytes / sizeBytes) * 100);
    return `            ${escapeTextName(path)}: ${copiedBytes} of ${sizeBytes} bytes (${percent} %), for ${duration(elapsedMs)}`;
  });
}

function keeperLine({ keeper }: MountStatus): string {
  if (keeper === null) return "none: the mount ends with its server";
  const died = keeper.lastDeath === null ? "" : `; the last one: ${keeper.lastDeath}`;
  return `pid ${keeper.pid}, ${counted(keeper.restarts, "server")} died${died}`;
}

function requestsLine({ name, why }: MountStatus["engine"]["transport"]): string {
  return name === "uring" ? "by io_uring" : `by read: ${why}`;
}

function idlePollingLine({ wish, why, phase, gainUs, holds, heldMs }: MountStatus["engine"]["idlePolling"]): string {
  if (why !== "") return `off: ${why}`;
  const gain = gainUs === 0 ? "" : `, ${gainUs} us saved a request`;
  const past = holds === 0 ? "not needed so far" : `${duration(heldMs)} in ${counted(holds, "burst")}${gain}`;
  return `${wish}${phase === "off" ? "" : ", at it now"}; ${past}`;
}

/** The parts of the target that lead to no replica, and the replicas that do not answer, at most four of them. */
function unreachableLines({ decider: { replicas, unresolved = [] } }: MountStatus): string[] {
  const silent = replicas.filter(({ why }) => why !== undefined).map(({ address, why }) => `${address}: ${why}`);
  return [...unresolved, ...silent].slice(0, 4).map((line) => `            ${line}`);
}

export function renderStatus(status: MountStatus): string {
  const { engine, overlay, decider } = status;
  const layers = overlay.layers.map((layer) => [
    layer.name,
    escapeTextName(layer.path),
    layer.fileSystem,
    layer.flags.join(","),
    layer.stackDepth === undefined ? "?" : String(layer.stackDepth),
    passthroughWord(layer),
  ]);
  const onTop = engine.maxStackDepth > 1 ? ": no overlayfs can be mounted on top" : "";
  const passthrough = engine.passthrough ? `on (max stack depth ${engine.maxStackDepth}${onTop})` : "off";
  return [
    `${escapeTextName(status.mountpoint)}  ${status.state}, up ${duration(status.uptimeMs)}, pid ${status.pid}, version ${status.version}`,
    `keeper      ${keeperLine(status)}`,
    `engine      ${engine.name}, FUSE ${engine.protocol}, passthrough ${passthrough}, ${counted(engine.inFlight, "request")} waiting`,
    `requests    ${requestsLine(engine.transport)}`,
    `idle polls  ${idlePollingLine(engine.idlePolling)}`,
    `decider     ${decider.target}, ${decider.state}${replicasWord(status)}; on outage: ${decider.onOutage}`,
    ...unreachableLines(status),
    ...unprotectedLines(status),
    `policy      ${policyLine(status)}`,
    ...splitLines(status),
    `cache       ${cacheLine(status)}`,
    `decisions   ${counts(status.decisions)}`,
    `open files  ${counts(status.openFilesByMode)}`,
    `revoked     ${revokedLine(status)}`,
    ...askLines(status),
    `fallbacks   ${counts(status.fallbacks)}`,
    ...staleLines(status),
    `copy-ups    ${status.copyUps.count} (${counted(status.copyUps.bytes, "byte")})`,
    ...copyUpLines(status),
    `anomalies   ${status.anomalies}`,
    "",
    ...table(["LAYER", "PATH", "FILE SYSTEM", "FLAGS", "DEPTH", "PASSTHROUGH"], layers),
    "",
  ]
    .map(escapeLine)
    .join("\n");
}

async function show(name: string | undefined, args: { json?: boolean; control?: string }): Promise<void> {
  if (name === undefined) {
    if (args.control !== undefined) throw wrong("--control", "it belongs to one mount", "name the mount point, too");
    return (await import("./list-mounts.js")).listMounts(args.json === true);
  }
  const { mountpoint, control } = await placeOf(name, args.control);
  const status = (await askOnce(mountpoint, control, { method: "status" })) as MountStatus;
  process.stdout.write(args.json === true ? `${JSON.stringify(status, null, 2)}\n` : renderStatus(status));
}

export function addStatusCommand(program: Command): void {
  program
    .command("status")
    .description("list all mounts, or show the engine, layers, decisions, fallbacks and open files of one")
    .argument("[mountpoint]", "the mount or running session of 'sluice run' to show; by default a list of all")
    .option("--json", "as JSON")
    .addOption(controlOption())
    .action(show);
}
