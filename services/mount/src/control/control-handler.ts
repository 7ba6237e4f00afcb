/** Answers the requests of the control socket. */
import { setTimeout as sleep } from "node:timers/promises";
import { Errno, errnoName, LoopTurn } from "@sluice/vfs";
import type { Busy, GrantItem, LayersItem, Unmounted } from "@sluice/mount-control";
import { answerAsk, listAsks, waitItem } from "./person-control.js";
import { type Caller, type ControlHandler, left } from "./control-server.js";
import { holdRequests, restackRequest } from "./hold-requests.js";
import { findHolders, type Holder } from "../enforcement/revocation/holders.js";
import { explain } from "../status/explain-open.js";
import { mountActivity } from "../status/mount-activity.js";
import { logItems } from "../status/log-items.js";
import { grantItem, mappingItem, type MountParts, mountStatus } from "../status/mount-status.js";
import type { StopRequests } from "../shutdown/stop-requests.js";
import type { DecisionWindow } from "../telemetry/decision-tally.js";
import { isForgottenCopy, tryUnmount, untilReturned } from "../shutdown/take-down.js";
import { bindsElsewhere } from "../shutdown/mount-users.js";
import { usersOf } from "../shutdown/unmount.js";

/** For callers that were denied just now. */
const LEAVE_MS = 200;

/** Mappings of processes that have no descriptor of the same file: they appear in no open. */
async function mappingsOnly({ device }: MountParts): Promise<Holder[]> {
  const holders = await findHolders(device, undefined);
  const open = new Set(holders.filter(({ by }) => by === "descriptor").map(({ pid, ino }) => `${pid} ${ino}`));
  return holders.filter(({ by, pid, ino }) => by === "mapping" && !open.has(`${pid} ${ino}`));
}

function layersItem({ config, overlay }: MountParts): LayersItem {
  const { mountpoint, upper = null, dataLowers, userXattr } = config;
  return { mountpoint, upper, lowers: overlay.lowerPaths(), dataLowers, userXattr };
}

/** Sends all open files; then, to a watcher, every change from that moment on. */
async function sendGrants(parts: MountParts, watch: boolean, { send, gone }: Pick<Caller, "send" | "gone">): Promise<void> {
  const open = [...parts.grants.all()];
  let meanwhile: GrantItem[] | undefined = [];
  const unlisten = watch
    ? parts.grants.listen((change, grant) => {
        const item = grantItem(change, grant, parts);
        if (meanwhile === undefined) send(item);
        else meanwhile.push(item);
      })
    : (): void => undefined;
  const turn = new LoopTurn();
  for (const grant of open) {
    send(grantItem("open", grant, parts));
    if (turn.isOver) await turn.next();
    if (gone.aborted) break;
  }
  for (const item of meanwhile) send(item);
  meanwhile = undefined;
  if (watch) await Promise.race([left(gone), parts.engine.ended]);
  else for (const mapping of await mappingsOnly(parts)) send(mappingItem(mapping, parts.config.mountpoint));
  unlisten();
}

/** Sends the newest decisions; then, to a watcher, those of each second. */
async function sendLog(
  { telemetry, config, engine }: MountParts,
  watch: boolean,
  { send, gone }: Pick<Caller, "send" | "gone">,
): Promise<void> {
  telemetry.tally.flush();
  const sendAll = (window: DecisionWindow): void => logItems(config.name, window).forEach(send);
  for (const window of telemetry.tally.recent()) sendAll(window);
  if (!watch) return;
  const unlisten = telemetry.tally.listen(sendAll);
  await Promise.race([left(gone), engine.ended]);
  telemetry.tally.flush();
  unlisten();
}

/** Sends the questions that wait; then every change from that moment on. */
async function watchAsks({ gate, engine, config }: MountParts, { send, gone }: Pick<Caller, "send" | "gone">): Promise<void> {
  const unlisten = gate.people.listen((change, wait) => send(waitItem(change, wait, config.mountpoint)));
  for (const wait of gate.people.all()) send(waitItem("asked", wait, config.mountpoint));
  await Promise.race([left(gone), engine.ended]);
  unlisten();
}

const openFilesOf =
  ({ overlay }: MountParts) =>
  (): number =>
    overlay.status().openFiles;

const useOf = (parts: MountParts) => ({ engine: parts.engine, openFiles: openFilesOf(parts), ...usersOf(parts) });

/** A caller who waits for a person has no open file yet, but is in the way. */
async function unmountPastWaits(parts: MountParts): Promise<number> {
  const { gate } = parts;
  const inUse = useOf(parts);
  const waited = gate.people.waiting > 0;
  gate.people.endAll();
  const errno = await tryUnmount(inUse);
  if (errno !== Errno.EBUSY || !waited) return errno;
  // Its open ends when it has run.
  await sleep(LEAVE_MS);
  return tryUnmount(inUse);
}

async function isForgotten(parts: MountParts): Promise<boolean> {
  const { device, config } = parts;
  if (!(await isForgottenCopy(useOf(parts)))) return false;
  return (await bindsElsewhere(device, config.mountpoint)).length === 0;
}

/** Undefined if the mount ends, or else the errno. */
async function endIfUnused(parts: MountParts, stop: StopRequests): Promise<number | undefined> {
  const { hold } = parts;
  const errno = await unmountPastWaits(parts);
  if (errno !== Errno.EBUSY) return errno === 0 ? undefined : errno;
  // The last copy may go while users are looked for: then the server ends, and waits for no answer that takes long.
  const ends = await Promise.race([hold.freed.then(() => true), isForgotten(parts)]);
  // If the last user has left meanwhile, the look for a copy unmounts by itself.
  if (!ends) return (await tryUnmount(useOf(parts))) === 0 ? undefined : errno;
  // The stop cuts the copy off.
  stop.request();
  return undefined;
}

/** Answers when the layers are free again, so that the caller can unmount their file systems. */
async function unmount(parts: MountParts, stop: StopRequests, force: boolean): Promise<Unmounted | Busy> {
  const { device, hold, config, engine } = parts;
  if (force) stop.hurry();
  else {
    const errno = await endIfUnused(parts, stop);
    if (errno !== undefined) return { errno: errnoName(errno), device };
  }
  await hold.freed;
  await untilReturned(engine);
  return { unmounted: config.mountpoint };
}

export function controlHandler(parts: MountParts, stop: StopRequests): ControlHandler {
  return async (request, { uid, pid, send, pass, gone }) => {
    switch (request.method) {
      case "status":
        send(mountStatus(parts, stop.requested));
        return;
      case "activity":
        send(mountActivity(parts, stop.requested));
        return;
      case "profile":
        for (const frames of await (await import("../status/take-profile.js")).takeProfile(request.durationMs, gone)) send({ frames });
        return;
      case "grants":
        await sendGrants(parts, request.watch, { send, gone });
        return;
      case "log":
        await sendLog(parts, request.watch, { send, gone });
        return;
      case "explain":
        send(await explain(parts, request));
        return;
      case "layers":
        // Only to root: the descriptors lead past the policy.
        if (uid === 0) pass(parts.overlay.layerRoots());
        send(layersItem(parts));
        return;
      case "asks":
        if (request.watch) await watchAsks(parts, { send, gone });
        else for (const item of await listAsks(parts)) send(item);
        return;
      case "answer":
        await answerAsk(parts, request, { uid, pid });
        return;
      case "unmount":
        send(await unmount(parts, stop, request.force));
        return;
      case "hold":
        await holdRequests(parts, { send, gone }, Promise.race([stop.reached(1), parts.engine.ended]));
        return;
      case "restack":
        await restackRequest(parts, request, send);
        return;
      case "freed":
        await parts.hold.freed;
        send({});
        return;
    }
  };
}
