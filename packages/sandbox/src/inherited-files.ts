/** Closes the open files that this process has inherited beside the standard streams: a directory among them would lead out of the sandbox. */
import { readdirSync, readFileSync } from "node:fs";
import { native } from "@sluice/native";

const O_CLOEXEC = 0o2000000;
const LAST_STREAM = 2;

/** All files that this program opens itself are close-on-exec. */
export function closeInherited(): void {
  for (const fd of readdirSync("/proc/self/fd").map(Number)) {
    if (fd > LAST_STREAM && isInherited(fd)) native.close(fd);
  }
}

function isInherited(fd: number): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1] ?? "";
    return (Number.parseInt(flags, 8) & O_CLOEXEC) === 0;
  } catch {
    return false; // it was that of the listing
  }
}
