// uidmapping, gidmapping, squashing, static_nlink, noacl, noxattrs: the attributes that are shown and stored.
import { lstatSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { asUser, file, requires, runScript } from "@sluice/testkit";
import { expect } from "vitest";
import { dropIn, directories } from "./drop-in.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command getfacl", "command setfacl", "command getfattr", "command setfattr");
const LIMIT_MS = 120_000;
const MAPPED = "uidmapping=0:1000:1:1:110000:65536,gidmapping=0:2000:1:1:210000:65536";

function owner(path: string): number[] {
  const { uid, gid } = lstatSync(path);
  return [uid, gid];
}

/** A command's output without its trailing newline; or its failure. */
async function said(...argv: string[]): Promise<string> {
  const { code, stdout, stderr } = await runScript(argv);
  return code === 0 ? stdout.trim() : stderr.trim();
}

test(
  "owners are mapped both ways, with those of ACLs",
  async () => {
    const at = directories({
      "open/": { kind: "directory", mode: 0o777 },
      zero: file("", { uid: 0, gid: 0 }),
      one: file("", { uid: 1, gid: 1 }),
      far: file("", { uid: 70_000, gid: 1 }),
    });
    expect(await dropIn(at, "-o", `${at.layers},${MAPPED}`, "m")).toMatchObject({ code: 0 });
    const merged = (name: string): string => join(at.mountpoint, name);
    const upper = (name: string): string => join(at.directory, "u", name);
    expect(owner(merged("zero"))).toEqual([1000, 2000]);
    expect(owner(merged("one"))).toEqual([110_000, 210_000]);
    expect(owner(merged("far"))).toEqual([65_534, 210_000]);

    const script = 'umask 022; cd "$1" && echo x > f && mkdir d && ln -s f s';
    const made = await asUser(110_004, 210_005, ["sh", "-c", script, "sh", merged("open")]);
    expect(made).toMatchObject({ code: 0 });
    for (const name of ["f", "d", "s"]) {
      expect(owner(upper(`open/${name}`)), name).toEqual([5, 6]);
      expect(owner(merged(`open/${name}`)), name).toEqual([110_004, 210_005]);
    }
    expect(await asUser(1000, 2000, ["sh", "-c", `echo more >> ${merged("zero")}`])).toMatchObject({ code: 0 });
    expect(owner(upper("zero"))).toEqual([0, 0]);

    expect(await said("chown", "110001:210002", merged("one"))).toBe("");
    expect(owner(upper("one"))).toEqual([2, 3]);
    expect(await said("chown", "5", merged("one"))).toMatch(/too large/);
    // A user for whom the layers have no id creates objects of the overflow user.
    writeFileSync(merged("by-root"), "");
    expect(owner(upper("by-root"))).toEqual([65_534, 65_534]);

    expect(await said("setfacl", "-m", "u:110006:r,g:210007:r", merged("one"))).toBe("");
    expect(await said("getfacl", "-cn", upper("one"))).toMatch(/user:7:r--[\s\S]*group:8:r--/);
    expect(await said("getfacl", "-cn", merged("one"))).toMatch(/user:110006:r--[\s\S]*group:210007:r--/);
    expect(await said("setfacl", "-m", "u:5:r", merged("one"))).toMatch(/too large|Invalid/);
  },
  LIMIT_MS,
);

const SQUASHED = [
  ["squash_to_root", [0, 0]],
  ["squash_to_uid=7,squash_to_gid=8", [7, 8]],
  ["squash_to_uid=7,squash_to_root", [7, 0]],
] as const;
for (const [option, expected] of SQUASHED) {
  test(
    `${option} shows one owner for everything, and listings agree`,
    async () => {
      const at = directories({ a: file("", { uid: 5, gid: 6 }), "d/b": file("", { uid: 1, gid: 2 }) });
      expect(await dropIn(at, "-o", `${at.layers},${option}`, "m")).toMatchObject({ code: 0 });
      // ls uses the attributes that come with the listing.
      expect(new Set((await said("find", at.mountpoint, "-printf", "%U:%G\n")).split("\n"))).toEqual(new Set([expected.join(":")]));
      expect(owner(join(at.directory, "l0", "a"))).toEqual([5, 6]);
    },
    LIMIT_MS,
  );
}

test(
  "static_nlink: directories show one link, files their own count",
  async () => {
    const at = directories({ "d/e/": { kind: "directory" }, a: "", b: { kind: "hard-link", to: "a" } });
    expect(await dropIn(at, "-o", `${at.layers},static_nlink`, "m")).toMatchObject({ code: 0 });
    expect(statSync(join(at.mountpoint, "d")).nlink).toBe(1);
    expect(statSync(join(at.mountpoint, "a")).nlink).toBe(2);
  },
  LIMIT_MS,
);

test(
  "noacl: no ACL is shown or set, and the mode decides about access",
  async () => {
    const at = directories({ a: file("x", { mode: 0o644 }) });
    await said("setfacl", "-m", "u:1000:0", join(at.directory, "l0", "a"));
    expect(await dropIn(at, "-o", `${at.layers},noacl`, "m")).toMatchObject({ code: 0 });
    const path = join(at.mountpoint, "a");
    expect(await asUser(1000, 1000, ["cat", path])).toMatchObject({ code: 0, stdout: "x" });
    expect(await said("getfacl", "-cn", path)).not.toContain("user:1000");
    expect(await said("setfacl", "-m", "u:1001:r", path)).toMatch(/not supported/);
    expect(await said("setfattr", "-n", "user.a", "-v", "b", path)).toBe("");
  },
  LIMIT_MS,
);

test(
  "noxattrs: no attributes exist, and files remain usable",
  async () => {
    const at = directories({ a: file("x", { xattrs: { "user.a": "b" } }) });
    expect(await dropIn(at, "-o", `${at.layers},noxattrs=1`, "m")).toMatchObject({ code: 0 });
    const path = join(at.mountpoint, "a");
    expect(await said("getfattr", "-n", "user.a", path)).toMatch(/not supported/);
    expect(await said("setfattr", "-n", "user.c", "-v", "d", path)).toMatch(/not supported/);
    expect(await asUser(1000, 1000, ["cat", path])).toMatchObject({ code: 0, stdout: "x" });
    writeFileSync(path, "y");
  },
  LIMIT_MS,
);
