/**
 * A fork of a session in which a command works asks its mount to take a new upper layer, or else to read no requests while its layers are copied,
 * so that its callers wait.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { ask, connectControl, type HoldItem, MAX_HOLD_MS, type RestackItem } from "@sluice/mount-control";
import { unfit } from "@sluice/runtime/cli";
import type { NextNames, RunningMount, Session, WhileHeld } from "@sluice/sessions";

/** A file that was closed just now may still count as open, and a program may close one soon. */
const PATIENCE_MS = 2_000;
const LOOK_AGAIN_MS = 50;

interface Hold {
  held: HoldItem["held"];
  /** Before it began. */
  askedMs: number;
  /** Ends it. */
  close(): Promise<unknown>;
}

function connect(session: Session): ReturnType<typeof connectControl> {
  return connectControl(session.path("view"), session.path("control.sock"));
}

async function hold(session: Session): Promise<Hold | undefined> {
  const socket = await connect(session);
  if (socket === undefined) return undefined;
  const askedMs = performance.now();
  const lines = ask(socket, { method: "hold" }, session.name);
  const { value } = await lines.next();
  return { held: (value as HoldItem).held, askedMs, close: () => lines.return(true) };
}

async function inUse(session: Session, held: HoldItem["held"] | RestackItem["restacked"] | undefined): Promise<Error> {
  if (held !== "waiting") return (await import("@sluice/sandbox")).namePrograms(session);
  return unfit(session.name, "a program waits for an answer of the mount (EBUSY)", "see 'sluice asks', or end its command with --stop");
}

/** @throws CliError if the work outlives the hold: something may have changed meanwhile */
async function workDuring<T>({ askedMs }: Hold, name: string, work: () => Promise<T>): Promise<T> {
  const result = await work();
  if (performance.now() - askedMs < MAX_HOLD_MS) return result;
  throw unfit(name, `it has too many changes to copy within ${MAX_HOLD_MS / 1000} s (ETIMEDOUT)`, "end its command with --stop");
}

/** @throws CliError, exit code 4, that names the programs which have files open for writing */
function whileHeld(session: Session): WhileHeld {
  return async (work) => {
    for (const deadlineMs = Date.now() + PATIENCE_MS; ; await sleep(LOOK_AGAIN_MS)) {
      const found = await hold(session);
      try {
        if (found?.held === "yes") return await workDuring(found, session.name, work);
      } finally {
        await found?.close();
      }
      if (Date.now() > deadlineMs) throw await inUse(session, found?.held);
    }
  };
}

async function restack(session: Session, names: NextNames): Promise<RestackItem["restacked"] | undefined> {
  const socket = await connect(session);
  if (socket === undefined) return undefined;
  for await (const item of ask(socket, { method: "restack", ...names }, session.name)) return (item as RestackItem).restacked;
  return undefined;
}

/** @throws CliError, exit code 4, that names the programs which have files open for writing */
async function take(session: Session, names: NextNames): Promise<boolean> {
  for (const deadlineMs = Date.now() + PATIENCE_MS; ; await sleep(LOOK_AGAIN_MS)) {
    const restacked = await restack(session, names);
    if (restacked === "yes" || restacked === "unfit") return restacked === "yes";
    if (Date.now() > deadlineMs) throw await inUse(session, restacked);
  }
}

export function runningMount(session: Session): RunningMount {
  return { take: (names) => take(session, names), whileHeld: whileHeld(session) };
}
