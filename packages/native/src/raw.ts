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

/** Compiled on this machine, or else brought along by the package of npm. */
const PLACES = ["../build/sluice_native.node", `../prebuilt/${process.platform}-${process.arch}/sluice_native.node`] as const;

function isMissing(cause: unknown): boolean {
  return (cause as NodeJS.ErrnoException).code === "MODULE_NOT_FOUND";
}

function loadFrom(path: string): Raw {
  try {
    return createRequire(import.meta.url)(path) as Raw;
  } catch (cause) {
    const remedy = isMissing(cause) ? 'it has not been built: run "npm ci" (on Linux, with a C compiler)' : "it does not load";
    throw new Error(`cannot use the native addon ${path}: ${remedy}`, { cause });
  }
}

function load(): Raw {
  const [compiled, prebuilt] = PLACES;
  try {
    return loadFrom(compiled);
  } catch (error) {
    if (!isMissing((error as Error).cause)) throw error;
    try {
      return loadFrom(prebuilt);
    } catch (other) {
      // A checkout has no prebuilt one: its build is missing.
      throw isMissing((other as Error).cause) ? error : other;
    }
  }
}

export const raw: Raw = load();
