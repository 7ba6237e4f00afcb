/** `sluice profile --live`: takes a profile of a mount's server, and writes it as a flame graph with the rights of the caller. */
import { writeFileSync } from "node:fs";
import { parseDurationMs } from "@sluice/decision-api";
import { ask, connectControl, MAX_PROFILE_MS, noDaemon, type ProfileFrame, type ProfileItem } from "@sluice/mount-control";
import { codeOf, wrong } from "@sluice/runtime/cli";
import { placeOf } from "../place-of.js";
import { flameGraph } from "./flame-graph.js";

export interface LiveFlags {
  out: string;
  control?: string;
}

const DEFAULT_DURATION = "10s";

function durationOf(text: string): number {
  const ms = parseDurationMs(text);
  if (ms !== undefined && ms > 0 && ms <= MAX_PROFILE_MS) return ms;
  throw wrong(
    text,
    "it is not the time of a profile",
    `write a whole number and ms, s or m, such as 10s, of at most ${MAX_PROFILE_MS / 60_000}m`,
  );
}

function write(file: string, text: string): void {
  if (file === "-") {
    process.stdout.write(text);
    return;
  }
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw wrong(file, `it cannot be written (${codeOf(error)})`, "name another file with --out");
  }
}

/** `duration`: as the user wrote it. */
export async function profileLive(name: string, duration: string = DEFAULT_DURATION, { out, control: given }: LiveFlags): Promise<void> {
  const durationMs = durationOf(duration);
  const { mountpoint, control } = await placeOf(name, given);
  const socket = await connectControl(mountpoint, control);
  if (socket === undefined) throw noDaemon(mountpoint, control);
  const frames: ProfileFrame[] = [];
  for await (const item of ask(socket, { method: "profile", durationMs }, mountpoint)) frames.push(...(item as ProfileItem).frames);
  write(out, flameGraph(frames, `sluice, ${mountpoint}, ${duration}`));
  if (out !== "-") process.stderr.write(`${out}: written: open it in a browser\n`);
}
