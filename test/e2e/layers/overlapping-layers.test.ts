/**
 * Layers inside the upper layer of another mount, and layers moved into the tree while it is mounted, as with kernel overlayfs.
 */
import { mkdirSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import {
  MountFailure,
  mountKernelOverlay,
  mountSluice,
  requires,
  runScript,
  scratch,
  startHostService,
  type SluiceMountOptions,
} from "@sluice/testkit";
import { expect } from "vitest";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "kernel overlayfs");

/** Layers of two mounts: the layers of the second may lie in the upper layer of the first. */
function places(): { first: Required<Pick<SluiceMountOptions, "lowers" | "upper" | "work">>; inUpper: string; disjoint: string } {
  const [root, disjoint] = [scratch(), scratch()];
  const [lower, upper, work] = ["l", "u", "w"].map((name) => join(root, name)) as [string, string, string];
  for (const path of [lower, upper, work, join(upper, "in/deep"), join(upper, "in/u"), join(upper, "in/w")])
    mkdirSync(path, { recursive: true });
  for (const name of ["l", "u", "w"]) mkdirSync(join(disjoint, name));
  return { first: { lowers: [lower], upper, work }, inUpper: join(upper, "in"), disjoint };
}

const FIRST: Readonly<Record<string, (first: ReturnType<typeof places>["first"]) => Promise<unknown>>> = {
  "another Sluice mount": (first) => mountSluice(first),
  "kernel overlayfs": (first) => Promise.resolve(mountKernelOverlay(first)),
};
const SECOND: Readonly<Record<string, (at: ReturnType<typeof places>) => SluiceMountOptions>> = {
  "a lower layer": ({ inUpper, disjoint }) => ({ lowers: [join(inUpper, "deep")], upper: join(disjoint, "u"), work: join(disjoint, "w") }),
  "an upper layer": ({ inUpper, disjoint }) => ({ lowers: [join(disjoint, "l")], upper: join(inUpper, "u"), work: join(inUpper, "w") }),
};

for (const [writer, mountFirst] of Object.entries(FIRST)) {
  for (const [what, layers] of Object.entries(SECOND)) {
    describe(`${what} inside the upper layer of ${writer}`, () => {
      test("is refused with index=on", async () => {
        const at = places();
        await mountFirst(at.first);
        const refused = await mountSluice({ ...layers(at), args: ["-o", "index=on"] }).catch((error: unknown) => error);
        expect(refused).toBeInstanceOf(MountFailure);
        const { exit, stderr } = refused as MountFailure;
        expect(exit.code).toBe(4);
        expect(stderr).toContain(`writes to ${at.first.upper} (EBUSY): unmount that one, or use index=off`);
      });

      test("is mounted with index=off, with a warning that results are undefined", async () => {
        const at = places();
        await mountFirst(at.first);
        const mount = await mountSluice({ ...layers(at), args: ["-o", "index=off"] });
        expect(mount.log()).toContain(`writes to ${at.first.upper}: changes by both have undefined results`);
        await mount.stop();
      });
    });
  }
}

test("a host service warns the caller of its mount, and not whoever reads its own output", async () => {
  const at = places();
  mountKernelOverlay(at.first);
  const host = await startHostService();
  const layers = (SECOND["a lower layer"] as (typeof SECOND)[string])(at);
  const mount = await mountSluice({ ...layers, args: ["--host-service", host.socket] });
  const warning = `writes to ${at.first.upper}: changes by both have undefined results`;
  expect(mount.log()).toContain(warning);
  expect(host.log()).not.toContain(warning);
  await mount.stop();
});

test("the kernel also refuses a lower layer inside another overlay's upper layer with index=on", async () => {
  const at = places();
  mountKernelOverlay({ ...at.first, options: "index=on" });
  const { upper = "", work = "", lowers } = (SECOND["a lower layer"] as (typeof SECOND)[string])(at);
  expect(() => mountKernelOverlay({ lowers, upper, work, options: "index=on" })).toThrow("EBUSY");
});

/** Results of look-ups of moved layers, through a mount over them; the topmost comes first, so that nothing in it is known. */
async function lookUps(mountpoint: string): Promise<string> {
  const script =
    'cd "$0"; for path in moved/u moved/w moved/l2 moved/u/f d/u; do stat -c %F $path 2>&1 | grep -o "directory$\\|Too many levels.*\\|No such.*"; done';
  return (await runScript(["sh", "-c", script, mountpoint])).stdout;
}

function layersToMove(): { root: string; layers: { lowers: string[]; upper: string; work: string } } {
  const root = scratch();
  for (const path of ["l1/moved", "l2", "u/d", "w"]) mkdirSync(join(root, path), { recursive: true });
  const [l1, l2, upper, work] = ["l1", "l2", "u", "w"].map((name) => join(root, name)) as [string, string, string, string];
  return { root, layers: { lowers: [l1, l2], upper, work } };
}

/** Moves it without the mount's knowledge. */
function moveIn({ lowers, upper, work }: { lowers: string[]; upper: string; work: string }): void {
  const [l1 = "", l2 = ""] = lowers;
  for (const path of [upper, work, l2]) renameSync(path, join(l1, "moved", path.slice(dirname(path).length + 1)));
}

test("a layer or work directory moved into a layer is ELOOP to look-ups, as in kernel overlayfs", async () => {
  const ours = layersToMove();
  const mount = await mountSluice(ours.layers);
  moveIn(ours.layers);
  const theirs = layersToMove();
  const overlay = mountKernelOverlay(theirs.layers);
  moveIn(theirs.layers);
  const expected = await lookUps(overlay);
  expect(expected).toBe("Too many levels of symbolic links\n".repeat(4) + "No such file or directory\n");
  expect(await lookUps(mount.mountpoint)).toBe(expected);
  // A listing continues.
  expect((await runScript(["ls", join(mount.mountpoint, "moved")])).stdout).toBe("l2\nu\nw\n");
  for (const name of ["u", "w", "l2"]) renameSync(join(ours.root, "l1/moved", name), join(ours.root, name));
  await mount.stop();
});
