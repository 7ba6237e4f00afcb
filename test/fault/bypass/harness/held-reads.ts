/** Copy-ups that stop in their middle, or take long: every reader of the file waits. See hold-reads.c. */
import { startScript } from "@sluice/testkit";
import { compileProgram } from "./compile-program.js";

export interface HeldReads {
  /** Resolves when a reader waits. */
  held: Promise<void>;
  release(): void;
}

/** Must be called before the mount opens the file. */
export async function holdReads(file: string): Promise<HeldReads> {
  const holder = startScript([compileProgram("hold-reads.c"), file], { timeoutMs: 120_000 });
  await holder.waitFor("watching");
  const held = holder.waitFor("held");
  held.catch(() => undefined); // The hold ends with the test, whether a reader waited or not.
  return { held, release: () => holder.write("release\n") };
}

/** Makes each read of these files take up to `longestMs` longer. Must be called before the mount opens them. */
export async function slowReads(files: readonly string[], longestMs: number): Promise<void> {
  const holder = startScript([compileProgram("hold-reads.c"), "-d", String(longestMs), ...files], { timeoutMs: 24 * 3_600_000 });
  await holder.waitFor("watching");
}
