// README's "Your own mount" in a user namespace: for an ordinary user with one id or a range of ids, for root, and on each
// kind of file system, through mounts that the namespace inherits and whose flags it may not change.
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { asOrdinaryUser, file, mountKernelOverlay, ORDINARY_USER, plant, requires, runScript, scratch, treeHash } from "@sluice/testkit";
import { expect } from "vitest";

const program = (path: string): string => fileURLToPath(new URL(`../../packages/${path}`, import.meta.url));
const env = { CLI: program("cli/bin/sluice.cjs"), OVERLAYFS: program("overlayfs-cli/bin/sluice-overlayfs.cjs") };
const LIMIT_MS = 300_000;

const NAMESPACE = ["-m", "-p", "-f", "--mount-proc"];
const CALLERS: Readonly<Record<string, (argv: string[]) => string[]>> = {
  root: (argv) => ["unshare", "-Ur", ...NAMESPACE, ...argv],
  "an ordinary user with one id": (argv) => asOrdinaryUser(["unshare", "-Ur", ...NAMESPACE, ...argv]),
  "an ordinary user with a range of ids": (argv) => asOrdinaryUser(["unshare", "-Ur", "--map-auto", ...NAMESPACE, ...argv]),
};

/** Changes of every kind that leave a mark, then everything that remains of the mount. */
const USE = `
cat m/a; cat m/dir/f; ls m/dir > /dev/null; echo new > m/n; echo more >> m/a; rm -r m/gone m/dir; mkdir m/dir m/d; mv m/d m/e
cat m/a; echo $(ls m) : $(ls m/dir)
`;
const MOUNT = `
touch out; "$CLI" mount --lower l --upper u --work w $1 m > out 2> err &
for try in $(seq 600); do grep -q mounted out && break; kill -0 $! || break; sleep 0.1; done
${USE}
"$CLI" status --json m
"$CLI" unmount m > /dev/null; wait $!; echo "exit $?"; grep -c " $PWD/m " /proc/self/mountinfo; grep -v '^{' err >&2
`;
const DROP_IN = `
"$OVERLAYFS" -o lowerdir=l,upperdir=u,workdir=w,log=$PWD/err m; echo "exit $?"
${USE}
umount m; grep -c " $PWD/m " /proc/self/mountinfo; cat err >&2
`;
const USED = ["low", "deep", "low", "more", "a dir e n :"];

/** A directory of layers that belong to `caller`. The lower files were last read before they were written. */
function layersIn(root: string, caller: string, lowerIn = root): string {
  const directory = join(root, "own");
  const lower = join(lowerIn, "lower");
  const old = { atimeNs: 1n, mtimeNs: 2n };
  for (const name of ["", "u", "w", "m"]) mkdirSync(join(directory, name));
  mkdirSync(lower);
  symlinkSync(lower, join(directory, "l"));
  plant(lower, {
    "gone/": { kind: "directory", ...old },
    a: file("low\n", old),
    "dir/f": file("deep\n", old),
    "dir/": { kind: "directory", ...old },
  });
  if (caller !== "root") execFileSync("chown", ["-R", `${ORDINARY_USER.uid}:${ORDINARY_USER.gid}`, directory, lower]);
  return directory;
}

interface Status {
  overlay: { layers: { name: string; flags: string[] }[] };
  anomalies: number;
}

async function mountAs(caller: string, directory: string, options = ""): Promise<{ words: string[]; status: Status }> {
  const argv = CALLERS[caller]?.(["sh", "-c", MOUNT, "sh", options]) ?? [];
  const { stdout, stderr } = await runScript(argv, { cwd: directory, env, timeoutMs: 150_000 });
  expect(stderr).toBe("");
  const json = /^\{[\s\S]*^\}$/m.exec(stdout)?.[0] ?? "";
  const words = stdout.replace(json, "").split("\n").filter(Boolean);
  return { words, status: JSON.parse(json) as Status };
}

const NEEDS = [
  "/dev/fuse",
  "CAP_SYS_ADMIN",
  "checkout that every user can read",
  "user namespaces",
  "command unshare",
  "command setpriv",
  "command newuidmap",
  "command newgidmap",
] as const;
const { test } = requires(...NEEDS);
const kernelOverlay = requires(...NEEDS, "kernel overlayfs");
const loop = requires(...NEEDS, "loop devices", "command mkfs.ext4");

for (const caller of Object.keys(CALLERS)) {
  test(
    `${caller} mounts layers of an inherited mount, which keep their access times`,
    async () => {
      const directory = layersIn(scratch(), caller);
      const lower = treeHash(join(directory, "l"));
      const { words, status } = await mountAs(caller, directory);
      expect(words).toEqual([...USED, "exit 0", "0"]);
      expect(status.anomalies).toBe(0);
      expect(treeHash(join(directory, "l"))).toBe(lower);
    },
    LIMIT_MS,
  );

  test(
    `${caller} mounts by sluice-overlayfs`,
    async () => {
      const directory = layersIn(scratch(), caller);
      const lower = treeHash(join(directory, "l"));
      const argv = CALLERS[caller]?.(["sh", "-c", DROP_IN]) ?? [];
      const { stdout, stderr } = await runScript(argv, { cwd: directory, env, timeoutMs: 150_000 });
      expect(stderr).toBe("");
      expect(stdout.split("\n").filter(Boolean)).toEqual(["exit 0", ...USED, "0"]);
      expect(treeHash(join(directory, "l"))).toBe(lower);
    },
    LIMIT_MS,
  );
}

const USER = "an ordinary user with a range of ids";
const PLACES: Readonly<Record<string, { gate: typeof test; make(): string }>> = {
  ext4: { gate: loop.test, make: () => layersIn(scratch({ on: "ext4-loop" }), USER) },
  tmpfs: { gate: test, make: () => layersIn(scratch({ on: "tmpfs" }), USER) },
  // An upper layer cannot lie there: it takes no whiteouts. The user cannot see the upper layer of this overlay.
  "kernel overlayfs": {
    gate: kernelOverlay.test,
    make: () => {
      const hidden = scratch();
      const [lower, upper, work] = ["l", "u", "w"].map((name) => join(hidden, name)) as [string, string, string];
      for (const path of [lower, upper, work]) mkdirSync(path);
      chmodSync(hidden, 0o700);
      return layersIn(scratch(), USER, mountKernelOverlay({ lowers: [lower], upper, work }));
    },
  },
};
for (const [fileSystem, { gate, make }] of Object.entries(PLACES)) {
  gate(
    `an ordinary user mounts layers on ${fileSystem}`,
    async () => {
      const directory = make();
      const lower = treeHash(join(directory, "l"));
      const { words } = await mountAs(USER, directory);
      expect(words).toEqual([...USED, "exit 0", "0"]);
      expect(treeHash(join(directory, "l"))).toBe(lower);
    },
    LIMIT_MS,
  );
}

test(
  "adds to the flags of an inherited mount and clears none, and status names the flags in force",
  async () => {
    const root = scratch({ on: "tmpfs" });
    execFileSync("mount", ["-o", "remount,noexec,relatime,nodiratime", root]);
    const { status } = await mountAs("an ordinary user with one id", layersIn(root, "an ordinary user with one id"), "-o noatime");
    expect(status.overlay.layers).toMatchObject([
      { name: "upper", flags: ["nosuid", "nodev", "noexec", "nodiratime", "relatime"] },
      { name: "lower0", flags: ["ro", "nosuid", "nodev", "noexec", "nodiratime", "relatime"] },
    ]);
  },
  LIMIT_MS,
);

test("without inherited flags, access times follow the options of the mount", async () => {
  const directory = layersIn(scratch(), "root");
  const script = `mount -t tmpfs none /mnt && cp -aL l u w m /mnt && cd /mnt || exit; ${MOUNT}`;
  const { stdout } = await runScript(["unshare", "-Ur", ...NAMESPACE, "sh", "-c", script, "sh", "-o noatime"], { cwd: directory, env });
  expect(stdout).toMatch(/"name": "upper",[^}]*?"flags": \[\s*"nosuid",\s*"nodev",\s*"noatime"\s*\]/);
});

test("users who are root of their own namespaces do not share a directory for sockets", async () => {
  const caller = "an ordinary user with one id";
  const root = scratch();
  const directory = layersIn(root, caller);
  // Of another user, who mounted in a namespace before.
  const temporary = join(root, "tmp");
  mkdirSync(join(temporary, "sluice-0"), { recursive: true });
  chmodSync(temporary, 0o1777);
  const script = `unset XDG_RUNTIME_DIR; export TMPDIR=${temporary}; ${MOUNT}`;
  const argv = CALLERS[caller]?.(["sh", "-c", script, "sh", ""]) ?? [];
  const { stdout, stderr } = await runScript(argv, { cwd: directory, env });
  expect(stdout, stderr).toContain("exit 0");
  expect(readdirSync(temporary).sort()).toEqual(["sluice-0", `sluice-${ORDINARY_USER.uid}`]);
});

test("names the inherited mount if one lies below a layer", async () => {
  const directory = layersIn(scratch(), "root");
  execFileSync("mount", ["-t", "tmpfs", "none", join(directory, "l/dir")]);
  const argv = ["unshare", "-Ur", ...NAMESPACE, "sh", "-c", '"$CLI" mount --lower l m', "sh"];
  const { code, stderr } = await runScript(argv, { cwd: directory, env });
  expect(code).toBe(4);
  expect(stderr).toContain("in a user namespace, have another mount below it: name a directory further down");
});
