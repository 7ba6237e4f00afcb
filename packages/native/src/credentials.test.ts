import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  AT_SYMLINK_NOFOLLOW,
  bytesOf,
  createFile,
  errno,
  makeScratch,
  O_CREAT,
  O_RDWR,
  O_WRONLY,
  places,
  type Scratch,
  statOf,
} from "../test/scratch.js";
import { CAP, capabilityMask, native } from "./index.js";

const addon = fileURLToPath(new URL("../build/sluice_native.node", import.meta.url));
const PERMISSIONS = 0o7777;
const whole = { offset: 0, length: 1, position: 0 };

/** The line of this thread's own status, which is where per-thread credentials show. */
function statusLine(key: string): string {
  const line = readFileSync("/proc/thread-self/status", "latin1")
    .split("\n")
    .find((text) => text.startsWith(`${key}:`));
  return line?.slice(key.length + 1).trim() ?? "";
}

/** Runs `script` with `native` and `status(key)` in a process of its own; gives what it prints as JSON. */
function inChild(script: string): unknown {
  const prelude = `const native = require(${JSON.stringify(addon)});
    const status = (key) => require("fs").readFileSync("/proc/thread-self/status", "latin1").match(new RegExp("^" + key + ":\\\\s*(.*)$", "m"))[1];
    const print = (value) => console.log(JSON.stringify(value, (_, v) => typeof v === "bigint" ? v.toString(16) : v));`;
  return JSON.parse(execFileSync(process.execPath, ["-e", prelude + script], { encoding: "utf8" }));
}

describe.each(Object.entries(places))("acting as the caller on %s", (_, place) => {
  let scratch: Scratch;
  let before: { capabilities: bigint; uid: string; gid: string; groups: string; umask: number };
  const now = (): typeof before => ({
    capabilities: native.effectiveCapabilities(),
    uid: statusLine("Uid"),
    gid: statusLine("Gid"),
    groups: statusLine("Groups"),
    umask: process.umask(),
  });
  beforeEach(() => {
    scratch = makeScratch(place);
    before = now();
  });
  afterEach(() => {
    native.asDaemon();
    scratch.remove();
    expect(now()).toEqual(before);
  });

  it("owns what it makes, where its own permissions would not let it, with its umask", () => {
    chmodSync(scratch.path, 0o700);
    expect(native.asCaller(1000, 1001, 0o027)).toBe(0);
    native.close(createFile(scratch.dir, "f", 0o666));
    expect(native.mkdirat(scratch.dir, "d", 0o777)).toBe(0);
    expect(native.symlinkat("f", scratch.dir, "l")).toBe(0);
    expect(native.mknodat(scratch.dir, "null", 0o020666, 1, 3)).toBe(0);
    expect(native.asDaemon()).toBe(0);
    expect(statOf(scratch.dir, "f")).toMatchObject({ uid: 1000, gid: 1001, mode: 0o100640 });
    expect(statOf(scratch.dir, "d")).toMatchObject({ uid: 1000, gid: 1001, mode: 0o040750 });
    expect(statOf(scratch.dir, "l")).toMatchObject({ uid: 1000, gid: 1001 });
    expect(statOf(scratch.dir, "null")).toMatchObject({ uid: 1000, gid: 1001, mode: 0o020640 });
    native.close(createFile(scratch.dir, "daemon"));
    expect(statOf(scratch.dir, "daemon")).toMatchObject({ uid: 0, gid: 0 });
  });

  it("keeps every capability but FSETID, and for root every one", () => {
    native.asCaller(1000, 1000, 0o022);
    expect(native.effectiveCapabilities()).toBe(before.capabilities & ~capabilityMask(CAP.FSETID));
    native.asCaller(0, 0, 0o022);
    expect(native.effectiveCapabilities()).toBe(before.capabilities);
  });

  it("gives back the set that was in force, not all that is permitted", () => {
    const reduced = before.capabilities & ~capabilityMask(CAP.FSETID, CAP.MKNOD);
    expect(native.setEffectiveCapabilities(reduced)).toBe(0);
    native.asCaller(1000, 1000, 0);
    native.asDaemon();
    expect(native.effectiveCapabilities()).toBe(reduced);
    expect(native.setEffectiveCapabilities(before.capabilities)).toBe(0);
  });

  it("goes from one caller to the next and back to the daemon at once", () => {
    native.asCaller(1000, 1000, 0o077, [7]);
    native.asCaller(2000, 2000, 0o007);
    native.close(createFile(scratch.dir, "second", 0o666));
    expect(statusLine("Groups")).toBe(before.groups);
    native.asDaemon();
    expect(statOf(scratch.dir, "second")).toMatchObject({ uid: 2000, gid: 2000, mode: 0o100660 });
  });

  it("changes nothing where the identity is refused", () => {
    expect(native.asCaller(0xffffffff, 1000, 0o077)).toBe(-errno.EPERM);
    expect(now()).toEqual(before);
    expect(() => native.asCaller(1, 1, 0, ["x" as unknown as number])).toThrow(TypeError);
    expect(now()).toEqual(before);
  });

  it("leaves sgid off a file that a caller outside the group makes in a sgid directory, unless its groups say otherwise", () => {
    chownSync(scratch.path, 0, 4242);
    chmodSync(scratch.path, 0o2777);
    native.asCaller(1000, 1000, 0);
    native.close(createFile(scratch.dir, "outsider", 0o2775));
    native.mkdirat(scratch.dir, "dir", 0o755);
    native.asCaller(1000, 1000, 0, [4242]);
    native.close(createFile(scratch.dir, "member", 0o2775));
    native.asCaller(0, 0, 0);
    native.close(createFile(scratch.dir, "root", 0o2775));
    native.asDaemon();
    expect(statOf(scratch.dir, "outsider")).toMatchObject({ gid: 4242, mode: 0o100775 });
    expect(statOf(scratch.dir, "dir")).toMatchObject({ gid: 4242, mode: 0o042755 });
    expect(statOf(scratch.dir, "member")).toMatchObject({ gid: 4242, mode: 0o102775 });
    expect(statOf(scratch.dir, "root")).toMatchObject({ gid: 4242, mode: 0o102775 });
  });

  it("clears suid and sgid when it writes, which the daemon does not", () => {
    for (const name of ["daemon", "caller"]) {
      native.close(createFile(scratch.dir, name));
      native.fchmodat(scratch.dir, name, 0o6777, AT_SYMLINK_NOFOLLOW);
      const fd = native.openat(scratch.dir, name, O_WRONLY, 0);
      if (name === "caller") native.asCaller(1000, 1000, 0);
      expect(native.pwrite(fd, bytesOf("x"), whole, 0)).toBe(1);
      native.asDaemon();
      native.close(fd);
    }
    expect(statOf(scratch.dir, "daemon").mode & PERMISSIONS).toBe(0o6777);
    expect(statOf(scratch.dir, "caller").mode & PERMISSIONS).toBe(0o777);
  });

  it("is this thread's alone: the pool goes on as the daemon", async () => {
    native.asCaller(1000, 1000, 0);
    const opening = native.openatAsync(scratch.dir, "pool", O_RDWR | O_CREAT, 0o600);
    native.asDaemon();
    native.close(await opening);
    expect(statOf(scratch.dir, "pool")).toMatchObject({ uid: 0, gid: 0 });
  });
});

describe("limits of a process", () => {
  it("keeps only the given capabilities in every set", () => {
    const mask = capabilityMask(CAP.SYS_ADMIN, CAP.CHOWN);
    const seen =
      inChild(`print([native.limitCapabilities(${mask}n), status("CapPrm"), status("CapEff"), status("CapBnd"), status("CapInh"), status("CapAmb"),
      native.setEffectiveCapabilities(1n << 4n), native.effectiveCapabilities()])`);
    const hex = mask.toString(16).padStart(16, "0");
    const zero = "0".repeat(16);
    expect(seen).toEqual([0, hex, hex, hex, zero, zero, -errno.EPERM, mask.toString(16)]);
  });

  it("says so where the bounding set cannot be limited", () => {
    const seen = inChild(`native.setEffectiveCapabilities(0n); print([native.limitCapabilities(0n), status("CapPrm")])`);
    expect(seen).toEqual([-errno.EPERM, "0".repeat(16)]);
  });

  it("becomes a user without groups in every thread, and for good", () => {
    const seen = inChild(`const fs = require("fs");
      const all = (key) => [...new Set(fs.readdirSync("/proc/self/task").map((tid) =>
        fs.readFileSync("/proc/self/task/" + tid + "/status", "latin1").match(new RegExp("^" + key + ":[ \\t]*(.*?)[ \\t]*$", "m"))[1]))];
      fs.readFileSync("/proc/self/status"), fs.stat("/", () => {
        print([native.becomeUser(65534, 65533), all("Uid"), all("Gid"), all("Groups"), all("CapPrm"), native.becomeUser(0, 0), native.dropGroups()]);
      });`);
    const [four, other] = [Array(4).fill(65534).join("\t"), Array(4).fill(65533).join("\t")];
    expect(seen).toEqual([0, [four], [other], [""], ["0".repeat(16)], -errno.EPERM, -errno.EPERM]);
  });

  it("acts as a user by the real ids, too, and as root again", () => {
    const seen = inChild(`const fs = require("fs");
      const may = () => { try { fs.accessSync("/root", fs.constants.W_OK); return true; } catch { return false; } };
      print([native.actAsUser(1001, 1002, []), may(), native.actAsUser(0, 0, []), native.actAsUser(1001, 1002, [], true), may(),
        process.getuid(), process.getgid(), native.actAsUser(0, 0, [], true), may(), process.getuid(), process.getgid()]);`);
    expect(seen).toEqual([0, true, 0, 0, false, 1001, 1002, 0, true, 0, 0]);
  });

  it("acts as one user after the other in its own thread alone, and as root again", () => {
    const seen = inChild(`const fs = require("fs");
      const threads = () => fs.readdirSync("/proc/self/task").map(Number);
      const of = (tid, key) => fs.readFileSync("/proc/self/task/" + tid + "/status", "latin1").match(new RegExp("^" + key + ":[ \\t]*(.*?)[ \\t]*$", "m"))[1];
      const ids = (tid) => [of(tid, "Uid"), of(tid, "Gid"), of(tid, "Groups"), of(tid, "CapEff") === "0".repeat(16)].join(" ");
      const groups = of(process.pid, "Groups");
      fs.stat("/", () => {
        const others = () => [...new Set(threads().filter((tid) => tid !== process.pid).map((tid) => ids(tid).replace(groups, "")))];
        const all = () => [ids(process.pid), ...others()];
        print([native.actAsUser(1001, 1002, [7, 8]), all(), native.actAsUser(1003, 1004), all(), native.actAsUser(0, 0), all()]);
      });`);
    const root = "0\t0\t0\t0 0\t0\t0\t0  false";
    const acting = (uid: number, gid: number, groups: string): string => `0\t${uid}\t0\t${uid} 0\t${gid}\t0\t${gid} ${groups} ${uid !== 0}`;
    expect(seen).toEqual([0, [acting(1001, 1002, "7 8"), root], 0, [acting(1003, 1004, ""), root], 0, [root, root]]);
  });

  it("sets no_new_privs, dumpable, the death signal, the file limit and the umask", () => {
    const seen = inChild(`const { hard } = native.nofileLimit();
      print([native.setNoNewPrivileges(), status("NoNewPrivs"), native.setDumpable(false), native.setDumpable(true),
        native.setParentDeathSignal(15), native.setParentDeathSignal(999), native.setNofileLimit(100), native.nofileLimit().soft,
        native.nofileLimit().hard === hard, native.setNofileLimit(hard + 1), native.umask(0o27), native.umask(0o22)])`);
    expect(seen).toEqual([0, "1", 0, 0, 0, -errno.EINVAL, 0, 100, true, -errno.EINVAL, process.umask(), 0o27]);
  });
});

describe("CAP_FSETID between two registrations of backing files", () => {
  it("is out of this thread alone, and not of pool threads that start meanwhile", () => {
    const without = inChild(`const fs = require("fs");
      const hasNone = (thread) => !(BigInt("0x" + fs.readFileSync("/proc/self/task/" + thread + "/status", "latin1").match(/CapEff:\\s*(.*)/)[1]) & 16n);
      native.backingOpenWithoutFsetid(-1, fs.openSync("/proc/self/exe", "r"));
      fs.promises.stat("/").then(() => print(fs.readdirSync("/proc/self/task").filter(hasNone).map((thread) => Number(thread) === process.pid)))`);
    expect(without).toEqual([true]);
  });

  it("comes back with the next call to which it makes a difference, also after acting as a caller", () => {
    const seen = inChild(`const fs = require("fs");
      const has = () => (BigInt("0x" + status("CapEff")) & 16n) !== 0n;
      const register = () => { native.backingOpenWithoutFsetid(-1, fs.openSync("/proc/self/exe", "r")); return has(); };
      const seen = [has(), register()];
      native.asCaller(1000, 1000, 0); native.ftruncate(-1, 0); seen.push(has());
      native.asDaemon(); seen.push(has()); native.ftruncate(-1, 0); seen.push(has(), register());
      native.asCaller(0, 7, 0); native.ftruncate(-1, 0); seen.push(has());
      native.asDaemon(); seen.push(has());
      print(seen)`);
    expect(seen).toEqual([true, false, false, false, true, false, true, true]);
  });
});
