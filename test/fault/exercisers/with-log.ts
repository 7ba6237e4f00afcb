/** Adds the mount's log to a failure under it, and says whether the mount still exists. */
import { mountTable, type SluiceMount } from "@sluice/testkit";

const LAST_CHARACTERS = 4000;

export async function withLog(mount: SluiceMount, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const there = mountTable().some(({ mountpoint }) => mountpoint === mount.mountpoint);
    const state = `${mount.mountpoint} is ${there ? "mounted" : "no longer mounted"}; its log:\n${mount.log().slice(-LAST_CHARACTERS)}`;
    const said = `${error instanceof Error ? error.message : String(error)}\n${state}`;
    // Printed at once: a soak that takes too long would make no report.
    process.stdout.write(`${said}\n`);
    throw new Error(said, { cause: error });
  }
}
