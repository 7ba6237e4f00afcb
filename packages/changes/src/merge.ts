/**
 * Merges a file that changed in the directory as well as in the session, by `git merge-file`. It needs the bytes that the session saw, and
 * only text can be merged. Git runs in a directory of its own: it reads no configuration of the session, of the directory or of the user.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { BaseRecords } from "@sluice/base-record";
import { isRegular, type LayerStack } from "@sluice/layer-tools";
import { contentOf } from "./aspects.js";
import type { Difference, Merge } from "./difference.js";
import { isBinary } from "./patch/git-patch.js";

/** Git merges in memory, and nobody reads a merge of more. */
const MAX_BYTES = 16 << 20;
/** The exit code of git is the number of conflicts, up to 127. Beyond that are failures. */
const MAX_CONFLICTS = 127;
/** In the order in which git takes them, with the labels of the markers. */
const PARTS = ["session", "before", "directory"] as const;

function runGit(at: string): Merge | undefined {
  const labels = PARTS.flatMap((name) => ["-L", name]);
  const env = {
    PATH: process.env["PATH"] ?? "",
    LC_ALL: "C",
    HOME: at,
    XDG_CONFIG_HOME: at,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CEILING_DIRECTORIES: dirname(at),
  };
  // Root may have become the owner of the session, whose processes may trace this one: it does not have root's terminal.
  const options = { cwd: at, env, maxBuffer: 4 * MAX_BYTES, detached: true };
  // Node takes milliseconds to load it, and few reviews merge anything.
  const { spawnSync } = process.getBuiltinModule("node:child_process");
  const { status, stdout } = spawnSync("git", ["merge-file", "-p", "-q", ...labels, ...PARTS], options);
  return status === null || status > MAX_CONFLICTS ? undefined : { content: stdout, conflicts: status };
}

/** @param directory a path in which only the session's owner can write. @returns undefined if git cannot merge them, or is missing */
function mergeOf(directory: string, parts: readonly Buffer[]): Merge | undefined {
  if (parts.some((part) => part.length > MAX_BYTES || isBinary(part))) return undefined;
  const at = mkdtempSync(join(directory, "merge-"));
  try {
    for (const [index, name] of PARTS.entries()) writeFileSync(join(at, name), parts[index] as Buffer, { mode: 0o600 });
    return runGit(at);
  } finally {
    rmSync(at, { recursive: true, force: true });
  }
}

/** Merges each conflict that can be merged. */
export function findMerges(stack: LayerStack, list: readonly Difference[], from: { records: BaseRecords; directory: string }): void {
  for (const one of list) {
    const { before, after, conflict } = one;
    if (conflict === undefined || before === undefined || after === undefined) continue;
    // Another name of the file would get another content.
    if (!isRegular(before.object.attr) || !isRegular(after.object.attr) || after.object.attr.nlink > 1) continue;
    if (before.object.attr.size > MAX_BYTES || after.object.attr.size > MAX_BYTES) continue;
    const seen = from.records.contentAt(before.object.path);
    if (seen === undefined) continue;
    const [session, directory] = [after, before].map(({ data, object }) => contentOf(stack, data, object.attr.size));
    const merge = mergeOf(from.directory, [session as Buffer, seen, directory as Buffer]);
    if (merge !== undefined) one.merge = merge;
  }
}
