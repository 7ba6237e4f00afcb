/** Stops a copy-up in its middle: whoever reads the file waits until the test lets go. See hold-reads.c. */
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
