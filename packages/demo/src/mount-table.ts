/** Which mounts there are, as /proc/self/mountinfo tells; never touches a mounted file system. */
import { readFileSync } from "node:fs";

/** Mount points at or below `directory`, deepest first. */
export function mountsBelow(directory: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) =>
      (line.split(" ")[4] ?? "").replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8))),
    )
    .filter((point) => point === directory || point.startsWith(`${directory}/`))
    .reverse();
}
