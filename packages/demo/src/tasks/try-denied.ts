/** Every way to a denied file that a program might take. Each must fail with EACCES; looking at its attributes must not. */
import { closeSync, linkSync, openSync, renameSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { PRIVATE_KEY, SECRET } from "../demo-paths.js";
import type { DeniedOutput, ViewInput } from "./task-table.js";

function outcome(attempt: () => void): string {
  try {
    attempt();
    return "allowed";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

export function tryDenied({ mountPoint }: ViewInput): DeniedOutput {
  const [secret, key] = [join(mountPoint, SECRET), join(mountPoint, PRIVATE_KEY)];
  const outside = join(mountPoint, "outside");
  const open = (path: string, flags: string) => () => closeSync(openSync(path, flags));
  const denied: [string, () => void][] = [
    [`read ${SECRET}`, open(secret, "r")],
    [`read ${PRIVATE_KEY}`, open(key, "r")],
    [`write ${SECRET}`, open(secret, "r+")],
    [`truncate ${SECRET}`, () => truncateSync(secret, 0)],
    [`create secrets/other`, open(join(mountPoint, "secrets/other"), "wx")],
    [`rename ${SECRET} out of the way`, () => renameSync(secret, outside)],
    [`link ${PRIVATE_KEY} to another name`, () => linkSync(key, outside)],
  ];
  const attempts = denied.map(([what, attempt]) => ({ what, result: outcome(attempt) }));
  const wrong = attempts.find((attempt) => attempt.result !== "EACCES");
  if (wrong !== undefined) throw new Error(`${wrong.what}: ${wrong.result}, where EACCES was due`);
  statSync(secret);
  return { attempts };
}
