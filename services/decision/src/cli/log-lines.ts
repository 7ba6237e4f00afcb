/** A decision log as lines. */
import { open } from "node:fs/promises";
import { createInterface, type Interface } from "node:readline";
import { CliError, counted, EXIT } from "@sluice/runtime";

function unreadable(log: string, errno: string | undefined, options?: ErrorOptions): CliError {
  return new CliError({ object: log, problem: "it cannot be read", errno, remedy: "give a decision log", exitCode: EXIT.USAGE }, options);
}

/** "-": standard input. @throws CliError, exit code 2, if it cannot be read */
export async function logLines(log: string): Promise<Interface> {
  if (log === "-") return createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY });
  const file = await open(log).catch((cause: NodeJS.ErrnoException) => {
    throw unreadable(log, cause.code, { cause });
  });
  // Only the first read would tell, and not by name.
  if ((await file.stat()).isDirectory()) {
    await file.close();
    throw unreadable(log, "EISDIR");
  }
  return createInterface({ input: file.createReadStream({ encoding: "utf8" }), crlfDelay: Number.POSITIVE_INFINITY });
}

/** Throws CliError if the log has lines and none of them is one of a decision log. An empty log is one. */
export function refuseOtherFile(log: string, { read, unreadable }: { read: number; unreadable: number }): void {
  if (read > 0 || unreadable === 0) return;
  const remedy = "name a file that 'sluice decision --decision-log' wrote";
  throw new CliError({ object: log, problem: "it is not a decision log", remedy, exitCode: EXIT.USAGE });
}

/** Of lines that are not of a decision log. */
export function unreadableLines(count: number): string {
  return `${counted(count, "line")} ${count === 1 ? "is" : "are"} not of a decision log`;
}
