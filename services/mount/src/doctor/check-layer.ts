/** Checks whether files of a layer can pass through, with the first regular file in it. */
import { type Dirent, opendirSync } from "node:fs";
import { join } from "node:path";
import { codeOf } from "@sluice/runtime/cli";
import { mountOf, readMountTable, realMountpoint } from "@sluice/mount-control";
import type { CheckResult } from "./check-up.js";
import type { PassthroughProbe } from "./passthrough-probe.js";

const MAX_ENTRIES = 10_000;

function* entriesOf(path: string): Iterable<Dirent> {
  const directory = opendirSync(path);
  try {
    for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) yield entry;
  } finally {
    directory.closeSync();
  }
}

/** Breadth first, within bounds. */
function firstRegularFile(root: string): string | undefined {
  const waiting = [root];
  let seen = 0;
  for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
    for (const entry of entriesOf(path)) {
      if (++seen > MAX_ENTRIES) return undefined;
      if (entry.isFile()) return join(path, entry.name);
      if (entry.isDirectory()) waiting.push(join(path, entry.name));
    }
  }
  return undefined;
}

export function checkLayerEligible(path: string, probe: PassthroughProbe): CheckResult {
  const name = `layer ${path}`;
  try {
    const type = mountOf(realMountpoint(path), readMountTable())?.type ?? "unknown file system";
    const file = firstRegularFile(path);
    if (file === undefined) return { name, state: "ok", detail: `${type}; no file to try passthrough with` };
    const errno = probe.register(file);
    if (errno === undefined) return { name, state: "ok", detail: `${type}; passthrough works` };
    if (errno === "ELOOP") {
      return {
        name,
        state: "limit",
        detail: `${type}; stacked too deep for passthrough (ELOOP)`,
        remedy: "mount with --max-stack-depth 2",
      };
    }
    return { name, state: "limit", detail: `${type}; no passthrough (${errno})`, remedy: "opens of its files will be mediated" };
  } catch (error) {
    return { name, state: "lack", detail: `it cannot be read (${codeOf(error)})`, remedy: "correct the name or its permissions" };
  }
}
