/** Copies from a session while a command works in it: the server of its mount reads no requests meanwhile, so its callers wait. */
import { setTimeout as sleep } from "node:timers/promises";
import { ask, connectControl, type HoldItem, MAX_HOLD_MS } from "@sluice/mount-control";
import { unfit } from "@sluice/runtime/cli";
import type { Session, WhileHeld } from "@sluice/sessions";

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

async function hold(session: Session): Promise<Hold | undefined> {
  const view = session.path("view");
  const socket = await connectControl(view, session.path("control.sock"));
  if (socket === undefined) return undefined;
  const askedMs = performance.now();
  const lines = ask(socket, { method: "hold" }, session.name);
  const { value } = await lines.next();
  return { held: (value as HoldItem).held, askedMs, close: () => lines.return(true) };
}

async function inUse(session: Session, held: HoldItem["held"] | undefined): Promise<Error> {
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
export function whileHeld(session: Session): WhileHeld {
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
