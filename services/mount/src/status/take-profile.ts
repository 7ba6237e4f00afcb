/**
 * Profiles this server by V8's own profiler, for `sluice profile --live`. Within the process: no port is opened, and nothing is written.
 * V8 stops the event loop for some milliseconds when it begins, and when it puts the profile together. That work is not the server's, and
 * is left out.
 */
import { Session } from "node:inspector/promises";
import type { Profiler } from "node:inspector";
import { setTimeout as sleep } from "node:timers/promises";
import type { ProfileFrame } from "@sluice/mount-control";

/** V8's samples: more of them make no better picture, and a longer pause. */
const MAX_SAMPLES = 10_000;
const LEAST_INTERVAL_US = 1_000;
/** Frames in one line of the answer. */
const FRAMES_AT_ONCE = 1_000;

/** The module by which the profile is asked for: on a busy machine V8's first steps may take longer than all the server's work. */
const PROFILER = "node:inspector";

let running = false;

function framesOf({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): ProfileFrame[] {
  const selfUs = new Map<number, number>();
  for (const [at, id] of samples.entries()) selfUs.set(id, (selfUs.get(id) ?? 0) + Math.max(0, timeDeltas[at] ?? 0));
  const parents = new Map<number, number>();
  for (const { id, children = [] } of nodes) for (const child of children) parents.set(child, id);
  const profilers = new Set<number>();
  // Callers come before the functions that they call.
  for (const { id, callFrame } of nodes) if (callFrame.url === PROFILER || profilers.has(parents.get(id) ?? id)) profilers.add(id);
  return nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => ({
    id,
    parent: parents.get(id) ?? null,
    name: functionName,
    url,
    line: lineNumber + 1,
    selfMs: profilers.has(id) ? 0 : (selfUs.get(id) ?? 0) / 1000,
  }));
}

async function profile(durationMs: number, gone: AbortSignal): Promise<ProfileFrame[]> {
  const session = new Session();
  session.connect();
  try {
    await session.post("Profiler.enable");
    const interval = Math.max(LEAST_INTERVAL_US, Math.ceil((durationMs * 1000) / MAX_SAMPLES));
    await session.post("Profiler.setSamplingInterval", { interval });
    await session.post("Profiler.start");
    await sleep(durationMs, undefined, { signal: gone }).catch(() => undefined);
    return framesOf((await session.post("Profiler.stop")).profile);
  } finally {
    session.disconnect();
  }
}

/** @returns the frames in parts; fewer if the caller leaves before the time is over. @throws if another profile is under way */
export async function takeProfile(durationMs: number, gone: AbortSignal): Promise<ProfileFrame[][]> {
  if (running) throw new Error("another profile of this mount is being taken (EBUSY)");
  running = true;
  try {
    const frames = await profile(durationMs, gone);
    return Array.from({ length: Math.ceil(frames.length / FRAMES_AT_ONCE) }, (_, part) =>
      frames.slice(part * FRAMES_AT_ONCE, (part + 1) * FRAMES_AT_ONCE),
    );
  } finally {
    running = false;
  }
}
