/** The unix sockets of other programs that have a name: connect(2) works on a read-only mount, so each name is covered. */
import { lstatSync, readFileSync } from "node:fs";

function isSocket(path: string): boolean {
  try {
    return lstatSync(path).isSocket();
  } catch {
    return false; // it is gone, or this user cannot reach it
  }
}

/** Absolute paths of sockets that this user can reach by name. */
export function outsideSockets(table: string = readFileSync("/proc/net/unix", "utf8")): string[] {
  const paths = table.split("\n").flatMap((line) => /^(?:\S+\s+){7}(\/.*)$/.exec(line)?.[1] ?? []);
  return [...new Set(paths)].filter(isSocket);
}
