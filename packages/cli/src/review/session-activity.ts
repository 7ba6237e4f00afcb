/** Reads the activity of a session's last command, as its mount wrote it. */
import { readFileSync } from "node:fs";
import { ACTIVITY_KINDS, type ActivityFile, type ActivityKind } from "@sluice/mount-control";
import { native, openBeneath } from "@sluice/native";
import { escapeName, unfit } from "@sluice/runtime/cli";
import type { Session } from "@sluice/sessions";
import { O } from "@sluice/vfs";

const FILE = "activity";

/** @returns undefined if no command ran in the session. @throws CliError */
export function readActivity(session: Session): ActivityFile | undefined {
  const fd = openBeneath(session.fd, FILE, O.RDONLY | O.NONBLOCK, 0);
  if (fd < 0) return undefined;
  try {
    return complete(JSON.parse(readFileSync(fd, "utf8")) as ActivityFile); // nobody but the mount writes there
  } catch {
    throw unfit(session.path(FILE), "the activity of the session is damaged", "remove the file");
  } finally {
    native.close(fd);
  }
}

/** A mount of an earlier version knew fewer kinds. */
function complete(activity: ActivityFile): ActivityFile {
  const { totals, omitted, programs } = activity;
  for (const kind of ACTIVITY_KINDS) {
    totals[kind] ??= 0;
    omitted[kind] ??= 0;
    for (const program of programs) program[kind] ??= [];
  }
  return activity;
}

/** All programs together, the most frequent path first; of equal ones the first by name. */
export function countsOf({ programs }: ActivityFile, kind: ActivityKind): [path: string, count: number][] {
  const counts = new Map<string, number>();
  for (const program of programs) for (const [path, count] of program[kind]) counts.set(path, (counts.get(path) ?? 0) + count);
  return [...counts].sort(([one, many], [other, more]) => more - many || (one < other ? -1 : 1));
}

/** The paths of denials; those without a name are counted one each. */
export function deniedIn(activity: ActivityFile | undefined, kind: "denied" | "undecided"): { count: number; paths: string[] } {
  if (activity === undefined) return { count: 0, paths: [] };
  const paths = countsOf(activity, kind).map(([path]) => path);
  return { count: paths.length + activity.omitted[kind], paths };
}

const MAX_NAMES = 2;

/** Such as "3 denied (.env, keys/id_rsa, …)"; undefined if there are none. */
export function countedNames({ count, paths }: { count: number; paths: readonly string[] }, word: string): string | undefined {
  if (count === 0) return undefined;
  const names = paths.slice(0, MAX_NAMES).map(escapeName);
  return `${count} ${word} (${[...names, ...(count > names.length ? ["…"] : [])].join(", ")})`;
}
