// sluice-overlayfs instead of fuse-overlayfs: returns when the mount is live, leaves a server, and reports unsupported options.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { policyOf, requires, runScript, scratch } from "@sluice/testkit";
import { expect } from "vitest";
import { dropIn, mountRow, PROGRAM, directories, servers, serversGone, unmount } from "./drop-in.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const LIMIT_MS = 180_000;

test(
  "sluice-overlayfs returns when the mount is live, holds no output of its caller, and ends with the mount",
  async () => {
    const at = directories({ a: "upper one" }, { a: "hidden", b: "below" });
    expect(await dropIn(at, "-o", at.layers, "m")).toMatchObject({ code: 0, stdout: "", stderr: "" });
    expect(readFileSync(join(at.mountpoint, "a"), "utf8")).toBe("upper one");
    expect(readFileSync(join(at.mountpoint, "b"), "utf8")).toBe("below");
    writeFileSync(join(at.mountpoint, "new"), "x");
    expect(readFileSync(join(at.directory, "u", "new"), "utf8")).toBe("x");
    expect(servers(at)).toHaveLength(1);
    expect(unmount(at)).toBe(0);
    expect(await serversGone(at)).toBe(true);
  },
  LIMIT_MS,
);

test(
  "source and flags are those of the command line, as mount.fuse3 gives them",
  async () => {
    const at = directories({ a: "" });
    expect(await dropIn(at, "layers", at.mountpoint, "-o", `rw,noatime,nodev,${at.layers},dev,suid`)).toMatchObject({ code: 0 });
    const [source, , type, flags] = mountRow(at) ?? [];
    expect([source, type]).toEqual(["layers", "fuse.sluice"]);
    expect(flags?.split(",")).toEqual(expect.arrayContaining(["rw", "noatime"]));
    expect(flags?.split(",")).not.toContain("nodev");
    unmount(at);
    expect(await dropIn(at, "layers", "m", "-o", `nosuid,noexec,fsname=other,${at.layers}`)).toMatchObject({ code: 0 });
    expect(mountRow(at)?.[0]).toBe("other");
    expect(mountRow(at)?.[3]?.split(",")).toEqual(expect.arrayContaining(["nosuid", "noexec"]));
  },
  LIMIT_MS,
);

const REFUSED = [
  ["an unknown option", "lowerdir=l0,fastest", 2, /-o fastest: unknown option/],
  ["a slip in the name of an option", "lowerdir=l0,uperdir=u", 2, /-o uperdir=u: unknown option: did you mean 'upperdir'\?\n$/],
  ["a mount without a lower layer", "upperdir=u,workdir=w", 2, /-o lowerdir: no lower layer is given: add -o lowerdir=DIR\n$/],
  ["a plugin", "lowerdir=//plugin/data/path", 2, /names a plugin/],
  ["a layer that is not there", "lowerdir=nowhere", 4, /nowhere: lower layer: there is no such directory/],
  ["a work directory in a layer", "lowerdir=l0,upperdir=u,workdir=u", 4, /same directory as upper layer/],
] as const;
for (const [name, options, code, message] of REFUSED) {
  test(
    `${name} is an error, and nothing is mounted`,
    async () => {
      const at = directories({ a: "" });
      const result = await dropIn(at, "-o", options, "m");
      expect(result).toMatchObject({ code, stdout: "" });
      expect(result.stderr).toMatch(message);
      expect(mountRow(at)).toBeUndefined();
      expect(await serversGone(at)).toBe(true);
    },
    LIMIT_MS,
  );
}

test(
  "mounts follow one another at once, with other layers over the same upper, and each shows the newest",
  async () => {
    const at = directories({ zero: "" }, { one: "" });
    for (let round = 0; round < 8; round++) {
      const options = `lowerdir=l${round % 2},upperdir=u,workdir=w`;
      expect(await dropIn(at, "-o", options, "m"), `round ${round}`).toMatchObject({ code: 0 });
      expect(readFileSync(join(at.mountpoint, round % 2 === 0 ? "zero" : "one"), "utf8")).toBe("");
      writeFileSync(join(at.mountpoint, `round-${round}`), "");
      expect(unmount(at)).toBe(0);
    }
    expect(await serversGone(at)).toBe(true);
    expect(mountRow(at)).toBeUndefined();
  },
  LIMIT_MS,
);

test(
  "the file system of the layers can be unmounted as soon as the mount is",
  async () => {
    const disk = scratch({ on: "tmpfs" });
    const at = directories({});
    for (const name of ["l", "u", "w"]) mkdirSync(join(disk, name));
    expect(await dropIn(at, "-o", `lowerdir=${disk}/l,upperdir=${disk}/u,workdir=${disk}/w`, "m")).toMatchObject({ code: 0 });
    writeFileSync(join(at.mountpoint, "a"), "x");
    expect(await runScript(["sh", "-c", 'umount -i "$1" && umount "$2"', "sh", at.mountpoint, disk])).toMatchObject({ code: 0 });
  },
  LIMIT_MS,
);

test(
  "-f stays in the foreground, and SIGTERM unmounts",
  async () => {
    const at = directories({ a: "x" });
    const script = `"$1" -f -o ${at.layers} m & pid=$!
      for try in $(seq 600); do grep -q "$2" /proc/mounts && break; kill -0 $pid || exit 9; sleep 0.1; done
      cat m/a; kill -TERM $pid; wait $pid; echo " $?"; grep -c "$2" /proc/mounts`;
    const result = await runScript(["sh", "-c", script, "sh", PROGRAM, at.mountpoint], { cwd: at.directory, timeoutMs: 120_000 });
    expect(result.stdout).toBe("x 0\n0\n");
  },
  LIMIT_MS,
);

test(
  "accepts a policy",
  async () => {
    const at = directories({ open: "x", shut: "y" });
    writeFileSync(join(at.directory, "p.yaml"), policyOf("grant", { name: "shut", path: "shut", effect: "deny" }));
    expect(await dropIn(at, "-o", `${at.layers},policy=p.yaml`, "m")).toMatchObject({ code: 0 });
    expect(readFileSync(join(at.mountpoint, "open"), "utf8")).toBe("x");
    expect(() => readFileSync(join(at.mountpoint, "shut"))).toThrow("EACCES");
  },
  LIMIT_MS,
);

test(
  "mounts read-only without an upper layer, and reports an unused work directory",
  async () => {
    const at = directories({ a: "x" });
    const result = await dropIn(at, "-o", "lowerdir=l0,workdir=w", "m");
    expect(result.code).toBe(0);
    expect(result.stderr).toMatch(/workdir= is of no use/);
    expect(() => writeFileSync(join(at.mountpoint, "b"), "")).toThrow("EROFS");
  },
  LIMIT_MS,
);
