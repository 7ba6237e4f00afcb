/**
 * Each system call by which an operation changes the upper layer fails once: without room, beyond a quota or a limit of links. The merged tree is
 * then as before the operation, or the operation succeeds anyway; nothing is left in the scratch directory; and the operation can be repeated.
 * Kernel overlayfs shows the merged tree. A soak looks at every call.
 */
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Overlay } from "@sluice/overlay";
import {
  diffSnapshots,
  directory,
  drawnCases,
  mountKernelOverlay,
  plant,
  requires,
  type Snapshot,
  scratch,
  snapshot,
  treeHash,
} from "@sluice/testkit";
import { AT, Attr, Errno, S } from "@sluice/vfs";
import { native } from "@sluice/native";
import { expect } from "vitest";
import { countCalls, withFault } from "../../packages/overlay/dist/layer/testing/with-fault.js";
import { entry, overlayOver } from "../e2e/harness/bare-overlay.js";
import { call, type Change, CHANGES, type Find } from "./harness/changes.js";
import { chooseSeed } from "./exercisers/policies.js";

const { test } = requires("CAP_SYS_ADMIN", "kernel overlayfs");
const ROOT = 1;
const FEW_CHANGES = 4;
const FEW_FAULTS = 4;
/** Without ftruncate, which the truncation itself uses, and unlinkat, whose failure leaves something behind. */
const CALLS = [
  ...["renameat2", "mkdirat", "mknodat", "symlinkat", "linkat", "setxattrat", "removexattrat", "fchownat", "fchmodat", "makeCopy"],
  ...["copyAttributes", "copyOrigin", "setModeAndTimes", "moveKeepingTimes", "copyBytes", "copyFileRangeAsync", "pwriteAsync"],
];
const ERRORS = [Errno.ENOSPC, 122 /* EDQUOT */, Errno.EMLINK, Errno.EIO];
const seed = chooseSeed();

interface Begun {
  base: string;
  overlay: Overlay;
  find: Find;
}

function begin({ tree, metacopy }: Change): Begun {
  const base = scratch();
  plant(base, { "lower/": directory(), "upper/": directory(), ...tree });
  mkdirSync(join(base, "work"));
  const overlay = overlayOver(base, undefined, { metacopy: metacopy === true });
  const find = (path: string): number => {
    let id = ROOT;
    for (const name of path.split("/")) {
      const found = entry();
      const status = overlay.lookup(call, id, name, found);
      // One system call fails once.
      if (status !== 0) expect(overlay.lookup(call, id, name, found), path).toBe(0);
      id = found.nodeId;
    }
    return id;
  };
  return { base, overlay, find };
}

/** The merged tree, without its times. */
function merged({ base }: Begun): Snapshot {
  const lowers = [join(base, "upper"), join(base, "lower")];
  const overlay = mountKernelOverlay({ lowers, options: "redirect_dir=follow,metacopy=on" });
  const seen = snapshot(overlay, { hardLinks: true, ignoreXattrs: /overlay/ });
  return new Map([...seen].map(([path, found]) => [path, { ...found, mtimeNs: 0n }]));
}

/** The whiteout that others are links of may stay. */
function leftIn({ base }: Begun): string[] {
  const directory = join(base, "work/work");
  return readdirSync(directory).filter((name) => {
    const attr = new Attr();
    native.statx(AT.FDCWD, join(directory, name), AT.SYMLINK_NOFOLLOW, attr.words);
    return (attr.mode & S.IFMT) !== S.IFCHR;
  });
}

for (const change of drawnCases(CHANGES, FEW_CHANGES, seed)) {
  test(`${change.name} is made as a whole or not at all if a system call fails`, async () => {
    const whole = begin(change);
    const before = merged(whole);
    const counts = await countCalls(change.setsAttributes === true ? CALLS : [...CALLS, "statx"], async () =>
      expect(await change.make(whole.overlay, whole.find)).toBe(0),
    );
    const after = merged(whole);
    expect(counts.size).toBeGreaterThan(0);
    const faults = [...counts].flatMap(([name, count]) => Array.from({ length: count }, (_, made) => ({ call: name, after: made })));
    for (const [at, fault] of drawnCases(faults, FEW_FAULTS, seed).entries()) {
      const begun = begin(change);
      const lower = treeHash(join(begun.base, "lower"));
      const told = { ...fault, times: 1, errno: ERRORS[at % ERRORS.length] as number };
      const why = `SLUICE_SEED=${seed} ${JSON.stringify(told)}`;
      const status = await withFault(told, async () => change.make(begun.overlay, begun.find));
      expect(diffSnapshots(status === 0 ? after : before, merged(begun)), why).toEqual([]);
      // The last whiteouts of a directory are removed in turns.
      await expect.poll(() => leftIn(begun), { message: why }).toEqual([]);
      if (status !== 0) expect(await change.make(begun.overlay, begun.find), why).toBe(0);
      expect(diffSnapshots(after, merged(begun)), why).toEqual([]);
      expect(treeHash(join(begun.base, "lower")), why).toBe(lower);
    }
  });
}
