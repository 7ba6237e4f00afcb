/** Hashes of a path and of each directory above it, in one pass and without a new string. Reused for each look-up. */
import { randomInt } from "node:crypto";
import { MAX_SUBTREE_DEPTH } from "./scope-shape.js";

const PRIME = 16_777_619;
/** Random for this process: others choose the names, and must not know which ones collide. */
const SEED = randomInt(0x7fff_ffff);

export function hashText(text: string, seed: number = SEED): number {
  let hash = seed;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), PRIME);
  return hash;
}

export function mix(hash: number, value: number): number {
  const mixed = Math.imul(hash ^ value, 0x85eb_ca6b);
  return mixed ^ (mixed >>> 13);
}

const SLASH = 0x2f;

export class PathHashes {
  /** Hash and length of the directory with that many names. */
  readonly hashes = new Int32Array(MAX_SUBTREE_DEPTH + 1);
  readonly ends = new Int32Array(MAX_SUBTREE_DEPTH + 1);
  /** The number of directories above the path, the root included; 0 for the root itself. */
  directories = 0;
  whole = SEED;

  set(path: string): void {
    let hash = SEED;
    this.hashes[0] = SEED;
    this.ends[0] = 0;
    let depth = path === "" ? 0 : 1;
    for (let at = 0; at < path.length; at++) {
      const code = path.charCodeAt(at);
      if (code === SLASH && depth <= MAX_SUBTREE_DEPTH) {
        this.hashes[depth] = hash;
        this.ends[depth] = at;
        depth++;
      }
      hash = Math.imul(hash ^ code, PRIME);
    }
    this.whole = hash;
    this.directories = depth;
  }
}
