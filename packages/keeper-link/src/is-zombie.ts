/** Whether a process is dead, but not gone: a thread of it may still wait in the kernel, and keep its files open, until the next server answers. */
import { readFileSync } from "node:fs";

/** False if there is no such process. */
export function isZombie(pid: number | undefined): boolean {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The state follows the name, which may contain any character.
    return text[text.lastIndexOf(")") + 2] === "Z";
  } catch {
    return false;
  }
}
