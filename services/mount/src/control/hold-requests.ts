/** Holds back all requests of the mount while a caller copies its upper layer, which then does not change. */
import { setTimeout as sleep } from "node:timers/promises";
import { type HoldItem, MAX_HOLD_MS } from "@sluice/mount-control";
import type { MountParts } from "../status/mount-status.js";
import { type Caller, left } from "./control-server.js";

/** For requests that were read. One that waits for a person takes longer. */
const ANSWER_MS = 1_000;

/** Ends when the caller leaves, when `stopped` resolves, or after MAX_HOLD_MS. */
export async function holdRequests(
  { engine, grants }: Pick<MountParts, "engine" | "grants">,
  { send, gone }: Pick<Caller, "send" | "gone">,
  stopped: Promise<unknown>,
): Promise<void> {
  const answer = (held: HoldItem["held"]): void => send({ held } satisfies HoldItem);
  const release = await engine.hold?.(ANSWER_MS);
  if (release === undefined) return answer("waiting");
  const timer = new AbortController();
  try {
    // By passthrough they change the layer without a request.
    if ([...grants.all()].some(({ write }) => write)) return answer("writers");
    answer("yes");
    await Promise.race([left(gone), stopped, sleep(MAX_HOLD_MS, undefined, { signal: timer.signal }).catch(() => undefined)]);
  } finally {
    timer.abort();
    release();
  }
}
