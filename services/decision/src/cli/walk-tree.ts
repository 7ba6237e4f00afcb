/**
 * The files of a directory as questions, as a mount of it would ask: for `sluice policy diff --tree`. It follows no link, and opens a
 * file only if a policy looks at content.
 */
import { createHash } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { type FileHandle, lstat, open, readdir } from "node:fs/promises";
import { type FactNeeds, type FileKind, QUESTION_LIMITS } from "@sluice/decision-api";
import type { DescribedQuestion } from "@sluice/policy-backends";

export interface TreeFile {
  /** Below the directory; a byte string. */
  path: string;
  /** Everything but the path and the access. */
  facts: Omit<DescribedQuestion, "path" | "access">;
}

/** Files and directories that could not be read, for the report. */
export interface Unread {
  count: number;
  first: string | undefined;
}

function kindOf(stats: Stats): FileKind {
  if (stats.isDirectory()) return "directory";
  if (stats.isSymbolicLink()) return "symlink";
  if (stats.isCharacterDevice()) return "character-device";
  if (stats.isBlockDevice()) return "block-device";
  if (stats.isFIFO()) return "fifo";
  return stats.isSocket() ? "socket" : "regular";
}

async function headAndDigest(handle: FileHandle, needsDigest: boolean): Promise<Pick<DescribedQuestion, "head" | "digest">> {
  const head = Buffer.alloc(QUESTION_LIMITS.headBytes);
  const { bytesRead } = await handle.read(head, 0, head.length, 0);
  const found = { head: head.toString("latin1", 0, bytesRead) };
  if (!needsDigest) return found;
  const hash = createHash("sha256");
  for await (const chunk of handle.createReadStream({ start: 0, autoClose: false })) hash.update(chunk as Buffer);
  return { ...found, digest: hash.digest("hex") };
}

async function contentOf(file: Buffer, { headBytes, needsDigest }: FactNeeds): Promise<Pick<DescribedQuestion, "head" | "digest">> {
  if (headBytes === 0 && !needsDigest) return {};
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    return await headAndDigest(handle, needsDigest);
  } finally {
    await handle.close();
  }
}

async function factsOf(file: Buffer, stats: Stats, needs: FactNeeds): Promise<TreeFile["facts"]> {
  const { size, mode, uid, gid } = stats;
  const kind = kindOf(stats);
  const content = kind === "regular" ? await contentOf(file, needs) : {};
  return { kind, size, mode, owner: { uid, gid }, ...content };
}

/** `unread` counts the files and directories that cannot be read. Rejects if the directory itself cannot. */
export async function* walkTree(root: string, needs: FactNeeds, unread: Unread): AsyncGenerator<TreeFile> {
  const top = Buffer.from(root).toString("latin1");
  const waiting = [""];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const file = Buffer.from(path === "" ? `${top}/` : `${top}/${path}`, "latin1");
    try {
      const stats = await lstat(file);
      yield { path, facts: await factsOf(file, stats, needs) };
      if (!stats.isDirectory()) continue;
      const names = await readdir(file, { encoding: "latin1" });
      for (const name of names.sort().reverse()) waiting.push(path === "" ? name : `${path}/${name}`);
    } catch (error) {
      if (path === "") throw error;
      unread.count++;
      unread.first ??= (error as Error).message;
    }
  }
}
