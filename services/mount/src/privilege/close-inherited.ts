/**
 * Closes what whoever started us left open by mistake: it would keep their files and mounts busy for as long as we run,
 * and go on to our child. Node opens everything of its own close-on-exec, so what is not is inherited.
 */
import { closeSync, readdirSync, readFileSync } from "node:fs";

const STDERR = 2;
const O_CLOEXEC = 0o2000000;

/** Undefined where it has been closed meanwhile: the listing's own descriptor. */
function flagsOf(fd: number): number | undefined {
  try {
    return Number.parseInt(/^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1] ?? "", 8);
  } catch {
    return undefined;
  }
}

export function closeInherited(): void {
  // Node's own channel to a parent that forked it.
  const channel = Number(process.env["NODE_CHANNEL_FD"] ?? -1);
  for (const fd of readdirSync("/proc/self/fd").map(Number)) {
    if (fd <= STDERR || fd === channel) continue;
    const flags = flagsOf(fd);
    if (flags !== undefined && (flags & O_CLOEXEC) === 0) closeSync(fd);
  }
}
