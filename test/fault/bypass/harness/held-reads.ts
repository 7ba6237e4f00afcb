/** Copy-ups that stand still in their middle, or take long: whoever reads the file waits. See hold-reads.c. */
import { startScript } from "@sluice/testkit";
import { compileProgram } from "./compile-program.js";

export interface HeldReads {
  /** Resolves when somebody waits. */
  held: Promise<void>;
  release(): void;
}

/** To be called before the mount opens the file. */
export async function holdReads(file: string): Promise<HeldReads> {
  const holder = startScript([compileProgram("hold-reads.c"), file], { timeoutMs: 120_000 });
  await holder.waitFor("watching");
  const held = holder.waitFor("held");
  held.catch(() => undefined); // It ends with the test, whether somebody waited or not.
  return { held, release: () => holder.write("release\n") };
}

/** Has each read of these files take up to `longestMs` longer. To be called before the mount opens them. */
export async function slowReads(files: readonly string[], longestMs: number): Promise<void> {
  const holder = startScript([compileProgram("hold-reads.c"), "-d", String(longestMs), ...files], { timeoutMs: 24 * 3_600_000 });
  await holder.waitFor("watching");
}
