/** The start and the end of both kinds of keeper: the setup of the process, the mount's resources, and the clean-up. */
import { readdirSync, rmdirSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { LayerError, type MountPlan, untilLetGo } from "@sluice/keeper-link";
import { leaveNow, native } from "@sluice/native";
import { FsError } from "@sluice/vfs";
import { discardsPend } from "./discard.js";
import { MountResources } from "./mount-resources.js";

export const FAILED = 1;
export const UNFIT = 4;
const CLOSING_LIMIT_MS = 2_000;
const POLL_MS = 10;

export function say(what: string, text: string): void {
  process.stderr.write(`sluice: ${`${what}: ${text}`.replace(/[\p{Cc}\p{Cf}]/gu, " ")}\n`);
}

/** @returns an exit code if the resources cannot be opened; then the reason is on standard error */
export async function openResources({ plan }: { plan: MountPlan }): Promise<MountResources | number> {
  try {
    // Opened by their paths, which an ordinary user could lead elsewhere.
    if (plan.caller === undefined) await untilLetGo(plan.upper, plan.work);
    return new MountResources(plan);
  } catch (error) {
    if (error instanceof LayerError) {
      say(error.path, `${error.problem}: ${error.remedy}`);
      return UNFIT;
    }
    if (error instanceof FsError) {
      say(plan.mountpoint, error.message);
      return FAILED;
    }
    throw error;
  }
}

export function prepare(): void {
  process.chdir("/");
  native.umask(0o077);
  const { hard } = native.nofileLimit();
  native.setNofileLimit(hard);
  native.setDumpable(false);
  native.setNoNewPrivileges();
  // The reader of the mount's first line may have closed the pipe since.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
}

/** Removes no subdirectory: the directory may belong to the server's user. */
export function removeSockets(directory: string): void {
  try {
    for (const name of readdirSync(directory)) unlinkSync(join(directory, name));
    rmdirSync(directory);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    if (code !== "ENOENT") say(directory, `the directory of the mount's sockets cannot be removed (${code}): remove it`);
  }
}

/** Ends the process when it holds nothing any more. exit() alone would wait for a thread that closes a descriptor which a hostile server sent. */
export async function leave(code: number): Promise<never> {
  for (const untilMs = Date.now() + CLOSING_LIMIT_MS; discardsPend() && Date.now() < untilMs; ) await sleep(POLL_MS);
  if (discardsPend()) process.kill(process.pid, "SIGKILL");
  leaveNow(code);
}
