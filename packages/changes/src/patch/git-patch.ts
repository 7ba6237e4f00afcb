/** Differences as a patch that `git apply` takes. */
import { isRegular, type LayerStack, readTarget } from "@sluice/layer-tools";
import type { Difference, Side } from "../difference.js";
import { contentOf } from "../aspects.js";
import { binaryHunk } from "./binary-hunk.js";
import { quoteFileName, quoteName } from "./quote-name.js";
import { textHunks } from "./text-hunks.js";

/** Git looks for a zero byte in so many bytes. */
const PROBED_BYTES = 8000;
/** A patch is made in memory. */
const MAX_BYTES = 256 * 1024 * 1024;
const ABSENT = "/dev/null";
const NO_ID = "0".repeat(40);

/** One side as git knows it. */
interface Blob {
  mode: "100644" | "100755" | "120000";
  content: Buffer;
}

export interface FilePatch {
  /** A byte string. */
  text: string;
  lines: { added: number; removed: number } | undefined;
  bytes: { before: number; after: number };
}

/** Directories are named by their files, and other objects do not exist for git. */
export const isInGit = (side: Side | undefined): side is Side => side !== undefined && (side.type === "regular" || side.type === "symlink");

export const isTooLarge = ({ before, after }: Difference): boolean =>
  [before, after].some((side) => side !== undefined && isRegular(side.object.attr) && side.object.attr.size > MAX_BYTES);

function blobOf(stack: LayerStack, { object, data, type }: Side, content?: Buffer): Blob {
  if (type === "symlink") return { mode: "120000", content: Buffer.from(readTarget(stack, object), "latin1") };
  return { mode: (object.attr.mode & 0o100) === 0 ? "100644" : "100755", content: content ?? contentOf(stack, data, object.attr.size) };
}

export const isBinary = (content: Buffer): boolean => content.subarray(0, PROBED_BYTES).includes(0);

function idOf(blob: Blob | undefined): string {
  if (blob === undefined) return NO_ID;
  const hash = process.getBuiltinModule("node:crypto").createHash("sha1");
  return hash.update(`blob ${blob.content.length}\0`).update(blob.content).digest("hex");
}

/** The lines between the first one and the content. */
function header(before: Blob | undefined, after: Blob | undefined, names: { from: string; to: string }): string {
  const lines: string[] = [];
  if (before === undefined) lines.push(`new file mode ${after?.mode}\n`);
  else if (after === undefined) lines.push(`deleted file mode ${before.mode}\n`);
  else if (before.mode !== after.mode) lines.push(`old mode ${before.mode}\nnew mode ${after.mode}\n`);
  const same = before !== undefined && after !== undefined && before.content.equals(after.content);
  if (names.from !== names.to)
    lines.push(`similarity index ${same ? 100 : 50}%\nrename from ${quoteName(names.from)}\nrename to ${quoteName(names.to)}\n`);
  const mode = before !== undefined && before.mode === after?.mode ? ` ${before.mode}` : "";
  if (!same) lines.push(`index ${idOf(before)}..${idOf(after)}${mode}\n`);
  return lines.join("");
}

function patchOf(before: Blob | undefined, after: Blob | undefined, names: { from: string; to: string }): FilePatch {
  const [old, now] = [before?.content ?? Buffer.alloc(0), after?.content ?? Buffer.alloc(0)];
  const head = `diff --git ${quoteName(`a/${names.from}`)} ${quoteName(`b/${names.to}`)}\n${header(before, after, names)}`;
  const bytes = { before: old.length, after: now.length };
  if (isBinary(old) || isBinary(now)) {
    const same = old.equals(now);
    return { text: same ? head : head + binaryHunk(old, now), lines: same ? { added: 0, removed: 0 } : undefined, bytes };
  }
  const { text, ...lines } = textHunks(old, now);
  if (text === "") return { text: head, lines, bytes };
  const from = before === undefined ? ABSENT : quoteFileName(`a/${names.from}`);
  const to = after === undefined ? ABSENT : quoteFileName(`b/${names.to}`);
  return { text: `${head}--- ${from}\n+++ ${to}\n${text}`, lines, bytes };
}

/** `origin`: the difference at the old path of a renamed file, if it is part of the patch. Empty if git cannot hold any of it. */
export function filePatches(stack: LayerStack, difference: Difference, origin: Difference | undefined): FilePatch[] {
  if (isTooLarge(difference) || (origin !== undefined && isTooLarge(origin))) return [];
  const before = origin?.before ?? difference.before;
  const names = { from: origin?.path ?? difference.path, to: difference.path };
  const [old, now] = [before, difference.after].map((side) =>
    isInGit(side) ? blobOf(stack, side, side === difference.after ? difference.merge?.content : undefined) : undefined,
  );
  if (old === undefined && now === undefined) return [];
  if (old !== undefined && now !== undefined && (old.mode === "120000") !== (now.mode === "120000"))
    return [patchOf(old, undefined, names), patchOf(undefined, now, names)];
  if (old !== undefined && now !== undefined && old.mode === now.mode && names.from === names.to && old.content.equals(now.content))
    return [];
  return [patchOf(old, now, names)];
}
