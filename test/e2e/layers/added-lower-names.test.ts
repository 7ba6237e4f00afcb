/**
 * A lower file gets more names from outside while the mount is up (xfstests' overlay/034): link counts match kernel overlayfs.
 */
import { linkSync, readdirSync } from "node:fs";
import { join } from "node:path";
import {
  mountKernelOverlay,
  mountSluice,
  mountsShareProcess,
  plant,
  requires,
  runScript,
  scratch,
  unmountKernelOverlay,
} from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "kernel overlayfs", "CAP_SYS_ADMIN");

interface Mounted {
  mountpoint: string;
  stop(): Promise<unknown>;
}

/**
 * Runs `before` in the mount, adds the names 2 and 3 to the lower file 0, and runs `after`. Returns the output, and the index's
 * entries after a remount.
 */
async function run(how: "kernel" | "sluice", before: string, after: string): Promise<{ output: string; index: number }> {
  const lower = plant(scratch(), { "0": "old\n" });
  linkSync(join(lower, "0"), join(lower, "1"));
  const layers = { lowers: [lower] as [string], upper: scratch(), work: scratch() };
  const mount = async (): Promise<Mounted> => {
    if (how === "sluice") return mountSluice({ ...layers, args: ["-o", "index=on"] });
    const mountpoint = mountKernelOverlay({ ...layers, options: "index=on" });
    return { mountpoint, stop: async () => unmountKernelOverlay(mountpoint) };
  };
  const script = async (text: string, { mountpoint }: Mounted): Promise<string> => {
    const { stdout } = await runScript(["sh", "-c", `exec 2>&1; ${text}`], { cwd: mountpoint, env: { LC_ALL: "C" } });
    return stdout;
  };
  const first = await mount();
  let output = await script(before, first);
  for (const name of ["2", "3"]) linkSync(join(lower, "0"), join(lower, name));
  output += await script(after, first);
  await first.stop();
  const second = await mount();
  output += await script("cat *; ls", second);
  await second.stop();
  return { output, index: readdirSync(join(layers.work, "index")).length };
}

test("links a file whose uncounted names were removed, and leaves no entry in the index", async () => {
  const after = "rm 2; rm 3; ln 0 4; rm 0; rm 1; rm 4; ls";
  const sluice = await run("sluice", "touch 0", after);
  expect(sluice).toEqual(await run("kernel", "touch 0", after));
  expect(sluice).toEqual({ output: "cat: '*': No such file or directory\n", index: 0 });
});
