/**
 * Loads the compiled addon. Its functions are those of `Native`, with the members of an argument object (if there is
 * one) laid flat: reading a property costs more in C than here, since it is inlined here.
 */
import { createRequire } from "node:module";
import type { FileOffset, Native } from "./binding.js";

/** @internal What the addon exports. Use `native` instead. */
export interface Raw extends Omit<Native, "pread" | "pwrite" | "preadAsync" | "pwriteAsync" | "utimensat"> {
  pread(fd: number, bytes: Uint8Array, offset: number, length: number, position: FileOffset, flags: number): number;
  pwrite(fd: number, bytes: Uint8Array, offset: number, length: number, position: FileOffset, flags: number): number;
  preadAsync(fd: number, bytes: Uint8Array, offset: number, length: number, position: FileOffset, flags: number): Promise<number>;
  pwriteAsync(fd: number, bytes: Uint8Array, offset: number, length: number, position: FileOffset, flags: number): Promise<number>;
  utimensat(dirfd: number, name: string, flags: number, ...secondsAndNanoseconds: [number, number, number, number]): number;
  /** For tests: behave as on a kernel without fchmodat2(2) and the ...xattrat(2) calls. */
  assumeOldKernel(on: boolean): void;
}

const addonPath = "../build/sluice_native.node";

function load(): Raw {
  try {
    return createRequire(import.meta.url)(addonPath) as Raw;
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === "MODULE_NOT_FOUND";
    const remedy = missing ? 'it has not been built: run "npm ci" (on Linux, with a C compiler)' : "it does not load";
    throw new Error(`cannot use the native addon ${addonPath}: ${remedy}`, { cause });
  }
}

export const raw: Raw = load();
