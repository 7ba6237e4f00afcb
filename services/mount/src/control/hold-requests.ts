/** Holds back all requests of the mount while its upper layer is copied, or becomes a lower one: it does not change meanwhile. */
import { setTimeout as sleep } from "node:timers/promises";
import { LayerError, type NextNames } from "@sluice/keeper-link";
import { type HoldItem, MAX_HOLD_MS, type RestackItem } from "@sluice/mount-control";
import type { Restacked } from "@sluice/overlay";
import type { OpenedNext } from "../setup/next-upper.js";
import { isMappedForWriting } from "../enforcement/revocation/holders.js";
import type { MountParts } from "../status/mount-status.js";
import { type Caller, left } from "./control-server.js";

/** For requests that were read. One that waits for a person takes longer. */
const ANSWER_MS = 1_000;

/** Ends when the caller leaves, when `stopped` resolves, or after MAX_HOLD_MS. */
export async function holdRequests(
  { engine, grants, device }: Pick<MountParts, "engine" | "grants" | "device">,
  { send, gone }: Pick<Caller, "send" | "gone">,
  stopped: Promise<unknown>,
): Promise<void> {
  const answer = (held: HoldItem["held"]): void => send({ held } satisfies HoldItem);
  const release = await engine.hold?.(ANSWER_MS);
  if (release === undefined) return answer("waiting");
  const timer = new AbortController();
  try {
    // By passthrough they change the layer without a request.
    if ([...grants.all()].some(({ write }) => write) || (await isMappedForWriting(device))) return answer("writers");
    answer("yes");
    await Promise.race([left(gone), stopped, sleep(MAX_HOLD_MS, undefined, { signal: timer.signal }).catch(() => undefined)]);
  } finally {
    timer.abort();
    release();
  }
}

async function restack({ overlay, openNext }: Pick<MountParts, "overlay" | "openNext">, names: RestackNames): Promise<Restacked> {
  if (openNext === undefined) return { unfit: "the mount has a keeper" };
  let opened: OpenedNext | undefined;
  let restacked: Restacked = "waiting";
  try {
    restacked = await overlay.restack(() => (opened = openNext(names)));
  } catch (error) {
    if (!(error instanceof LayerError)) throw error;
    restacked = { unfit: error.message };
  } finally {
    if (restacked !== "yes") opened?.giveUp();
  }
  return restacked;
}

interface RestackNames extends NextNames {
  readonly formerPath: string;
}

/** The upper layer becomes a lower one, below an empty one. */
export async function restackRequest(
  parts: Pick<MountParts, "engine" | "overlay" | "openNext" | "device">,
  names: RestackNames,
  send: Caller["send"],
): Promise<void> {
  const answer = (restacked: RestackItem["restacked"], reason = ""): void => send({ restacked, reason } satisfies RestackItem);
  const release = await parts.engine.hold?.(ANSWER_MS);
  if (release === undefined) return answer("waiting");
  try {
    const restacked = await restack(parts, names);
    if (restacked === "busy" && (await isMappedForWriting(parts.device))) answer("writers");
    else if (restacked === "busy") answer("unfit", "a reader shares the descriptor of a writer (EBUSY)");
    else if (typeof restacked === "string") answer(restacked);
    else answer("unfit", restacked.unfit);
  } finally {
    release();
  }
}
