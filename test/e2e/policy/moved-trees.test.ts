/** The policy judges the move of a directory with everything in it, including names that the kernel has never looked up. */
import { renameSync, rmSync, writeFileSync } from "node:fs";
import type { Intent, Ruling } from "@sluice/overlay";
import { directory, eventually, layers, mountSluice, plant, policyOf, publicFile, requires, scratch, statusOf } from "@sluice/testkit";
import { type CallContext, Errno, RENAME, S } from "@sluice/vfs";
import { expect } from "vitest";
import { entry, OPEN_GATE, overlayOver } from "../harness/bare-overlay.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const policy = policyOf("grant", { name: "no", path: "a/**/secret", access: ["read"], effect: "deny" });
const SOON_MS = 60_000;

test("keeps no node of a moved tree, and no descriptor of an entry that was removed since", async () => {
  const names = Array.from({ length: 400 }, (_, i) => `b/dir${i % 40}/f${i}`);
  const { lower, upper } = layers({ lower: Object.fromEntries(names.map((name) => [name, publicFile("content")])) });
  const mount = await mountSluice({ lowers: [lower], upper, policy });
  const before = (await statusOf(mount)).overlay.nodes;
  renameSync(mount.path("b"), mount.path("c"));
  // The node of the moved directory may stay: the test asked for it.
  await eventually("the nodes are freed", SOON_MS, async () => {
    // Again and again: another process that makes the kernel forget names has some in use meanwhile.
    writeFileSync("/proc/sys/vm/drop_caches", "2");
    return (await statusOf(mount)).overlay.nodes <= before + 2;
  });
  rmSync(mount.path("c"), { recursive: true });
  await eventually("the removed files are closed", SOON_MS, () => !mount.descriptors().some((one) => one.endsWith(" (deleted)")));
  expect((await mount.stop()).code).toBe(0);
});

/** `d` is exchanged with `x`, or moved to `e`; a name is added to `d` while the service is asked about `asked`. */
for (const { asked, to, flags } of [
  { asked: "d/sub/second", to: "e", flags: 0 },
  { asked: "x/last", to: "x", flags: RENAME.EXCHANGE },
]) {
  test(`a moved directory is judged with a name added while ${asked} is asked about`, async () => {
    const base = scratch();
    const lower = { "lower/d/sub/first": "first", "lower/d/sub/second": "second", "lower/x/last": "last" };
    plant(base, { ...lower, "upper/": directory(), "work/": directory() });
    let comes = true;
    const judge = async (call: CallContext, { operation, paths: [path = ""], accesses }: Intent): Promise<Ruling> => {
      if (operation === "rename" && path === asked && comes) {
        comes = false;
        const make = { mode: S.IFREG | 0o644, umask: 0, rdev: 0 };
        expect(await overlay.mknod(call, { parent: idOf("d", "sub"), name: "secret" }, make, entry())).toBe(0);
      }
      const denies = path === "d/sub/secret" && accesses.includes("read");
      return { effect: denies ? "deny" : "grant", errno: Errno.EACCES };
    };
    const overlay = overlayOver(base, { ...OPEN_GATE, active: true, governs: () => true, authorize: judge });
    const call: CallContext = { uid: 0, gid: 0, pid: 1, groups: undefined, labels: [], signal: new AbortController().signal };
    const idOf = (...names: readonly string[]): number =>
      names.reduce((parent, name) => {
        const out = entry();
        expect(overlay.lookup(call, parent, name, out)).toBe(0);
        return out.nodeId;
      }, 1);
    const move = { parent: 1, name: "d", newParent: 1, newName: to, flags };
    expect(await overlay.rename(call, move)).toBe(Errno.EACCES);
    expect(comes).toBe(false);
    expect(await overlay.unlink(call, idOf("d", "sub"), "secret")).toBe(0);
    expect(await overlay.rename(call, move)).toBe(0);
  });
}
