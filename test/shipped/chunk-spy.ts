// A module for `node --require` that tells of each chunk of the bundle that a program loads.
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const TEXT = `const vm = require("node:vm");
vm.Script = class extends vm.Script {
  constructor(text, options) {
    super(text, options);
    process._rawDebug("chunk", options.filename, { true: "refused", false: "taken" }[this.cachedDataRejected] ?? "none");
  }
};`;

const CHUNK = /^chunk (\S+) (taken|refused|none)\n/gm;

/** Writes the module into this directory. */
export function writeChunkSpy(directory: string): string {
  const path = join(directory, "chunk-spy.cjs");
  writeFileSync(path, TEXT);
  return path;
}

export interface LoadedChunk {
  /** In the bundle. */
  name: string;
  /** V8 took its cache, or refused it, or got none. */
  cache: "taken" | "refused" | "none";
}

/** The rest of `stderr`. */
export const withoutChunks = (stderr: string): string => stderr.replaceAll(CHUNK, "");

/** The chunks, in the order in which they were loaded. `stderr`: of the program. */
export function loadedChunks(stderr: string): LoadedChunk[] {
  return [...stderr.matchAll(CHUNK)].map(([, name = "", cache]) => ({
    name,
    cache: cache as LoadedChunk["cache"],
  }));
}
