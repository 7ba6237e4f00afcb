/** `sluice top` on a terminal: a frame at each interval, keys that change it, and a mount that may go away and come back. */
import { setTimeout as sleep } from "node:timers/promises";
import { CliError } from "@sluice/runtime/cli";
import type { ActivityReport } from "@sluice/mount-control";
import { frame } from "./frame.js";
import { between } from "./rates.js";
import type { TerminalScreen } from "./terminal-screen.js";
import { FIRST_VIEW, pressed } from "./view.js";

export interface Live {
  look(): Promise<ActivityReport>;
  seconds: number;
  screen: TerminalScreen;
}

/** A report, or the reason why there is none. */
type Look = { report: ActivityReport } | { gone: string };

/** The end of the mount does not end `top`: it may be mounted again. */
async function lookOnce(look: () => Promise<ActivityReport>): Promise<Look> {
  try {
    return { report: await look() };
  } catch (error) {
    if (error instanceof CliError) return { gone: error.problem };
    throw error;
  }
}

/** Resolves when the user quits. */
export async function watchLive(first: ActivityReport, { look, seconds, screen }: Live): Promise<void> {
  let view = FIRST_VIEW;
  let before = first;
  let interval = between(undefined, first);
  let span = "since the server started";
  let away: string | undefined;
  const draw = (): void => screen.show((rows) => frame(interval, span, { view, rows, keys: screen.hasKeys, away }));
  screen.onKey((key) => {
    const next = pressed(view, key);
    if (next === "end") return screen.end();
    view = next;
    draw();
  });
  draw();
  const ended = new Promise<undefined>((resolve) => {
    screen.ended.addEventListener("abort", () => resolve(undefined));
    if (screen.ended.aborted) resolve(undefined);
  });
  let goneSinceMs: number | undefined;
  for (;;) {
    await sleep(seconds * 1000, undefined, { signal: screen.ended }).catch(() => undefined);
    // The server may be stopped: quitting must not wait for its answer.
    const looked = view.paused ? undefined : await Promise.race([lookOnce(look), ended]);
    if (screen.ended.aborted) return;
    if (looked === undefined) continue;
    if ("gone" in looked) {
      goneSinceMs ??= Date.now();
      away = `AWAY for ${Math.round((Date.now() - goneSinceMs) / 1000)} s, waiting for it: ${looked.gone}`;
    } else {
      away = goneSinceMs = undefined;
      interval = between(before, looked.report);
      before = looked.report;
      span = `every ${seconds} s`;
    }
    draw();
  }
}
