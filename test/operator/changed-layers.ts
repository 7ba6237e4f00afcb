/** A lower layer and an upper layer after changes of every kind by the kernel's own overlayfs. */
import { execFileSync } from "node:child_process";
import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import {
  bytes,
  charDevice,
  directory,
  fifo,
  file,
  hardLink,
  mountKernelOverlay,
  nodePath,
  plant,
  scratch,
  type Snapshot,
  snapshot,
  sparse,
  symlink,
  unmountKernelOverlay,
} from "@sluice/testkit";

export interface ChangedLayers {
  root: string;
  lower: string;
  upper: string;
  work: string;
  /** The tree of the two layers as the kernel shows it. */
  merged: Snapshot;
}

const OLD = { mtimeNs: 1_234_567_890_123_456_789n, uid: 7, gid: 8 } as const;
const LONG = `${"long".repeat(40)}`;
/** Neither UTF-8 nor ASCII. */
const ODD = "b\xe9te \xff";
const ACL = Buffer.from(
  "02000000010007ffffffffff02000700e8030000040005ffffffffff10000700ffffffff20000500ffffffff".replace(/ffffffffff/g, "00ffffffff"),
  "hex",
);
export const MARKS = /^trusted\.overlay\./;

/** The merged tree, with everything that a caller can see in it. */
export function seen(path: string): Snapshot {
  return snapshot(path, { hardLinks: true, ignoreXattrs: MARKS });
}

export function layersBelow(lowers: readonly string[], upper?: { upper: string; work: string }): Snapshot {
  const at = mountKernelOverlay({ lowers, ...upper, options: "redirect_dir=on,metacopy=on,index=off" });
  try {
    return seen(at);
  } finally {
    unmountKernelOverlay(at);
  }
}

export function changedLayers(): ChangedLayers {
  const root = scratch();
  const at = (name: string): string => {
    const path = join(root, name);
    mkdirSync(path);
    return path;
  };
  const [lower, upper, work] = [at("lower"), at("upper"), at("work")];
  plant(lower, {
    same: file("same", OLD),
    written: file("before", OLD),
    attributes: file("only its attributes change", { ...OLD, xattrs: { "user.kept": "v" } }),
    holes: sparse(3 << 20, [{ at: 1 << 20, data: "data" }], OLD),
    gone: file("gone"),
    "tree/deep/a": file("a", OLD),
    "tree/deep/b": file("b", OLD),
    "tree/c": file("c", OLD),
    "again/old": file("hidden by an opaque directory"),
    "link one": file("two names", OLD),
    "link two": hardLink("link one"),
    [`${LONG}/${LONG}`]: file("long", OLD),
    kind: file("becomes a directory"),
  });
  const merged = mountKernelOverlay({ lowers: [lower], upper, work, options: "redirect_dir=on,metacopy=on,index=off" });
  plant(merged, {
    new: file("new", { ...OLD, mode: 0o4755, uid: 1000, gid: 4_000_000_000 }),
    "new again": hardLink("new"),
    capable: file("x", {
      xattrs: {
        "security.capability": Buffer.from("0100000200040000000000000000000000000000", "hex"),
        "user.binary": Buffer.from([0, 10, 255, 61]),
      },
    }),
    acl: file("acl", { xattrs: { "system.posix_acl_access": ACL } }),
    "directory/": directory({ mode: 0o1777, mtimeNs: -1_500_000_000n, xattrs: { "user.d": "d" } }),
    "directory/inner": file("", { mtimeNs: 2n }),
    [bytes("né")]: symlink(bytes("zïel")),
    [ODD]: file("odd", OLD),
    [`directory/${LONG}`]: symlink(LONG + LONG),
    pipe: fifo({ mode: 0o640 }),
    device: charDevice(300, 70_000, { mode: 0o600 }),
    "big hole": sparse(64 << 20, [{ at: 32 << 20, data: "in the middle" }], OLD),
  });
  execFileSync("sh", ["-ec", SCRIPT], { cwd: merged });
  renameSync(nodePath(bytes(join(merged, LONG))), nodePath(bytes(join(merged, "short"))));
  const shown = seen(merged);
  unmountKernelOverlay(merged);
  return { root, lower, upper, work, merged: shown };
}

const SCRIPT = `
echo after > written
chmod 600 attributes; setfattr -n user.more -v w attributes
rm gone
mv tree moved
rm moved/deep/a
echo B >> moved/deep/b
mv moved/deep moved/deeper
rm -r again; mkdir again; echo new > again/new
rm kind; mkdir kind; echo in > kind/in
chown 12:13 holes
touch -d @1700000000.5 directory
`;
