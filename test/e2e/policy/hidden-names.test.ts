/**
 * Names that a policy hides do not exist for any caller: not in look-ups, not in listings, not by handles. Nobody can make them, and a
 * directory that holds one can be neither removed nor moved.
 */
import {
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import {
  Actor,
  directory,
  eventually,
  hardLink,
  layers,
  mountSluice,
  mountsShareProcess,
  plant,
  policyOf,
  requires,
  runSluice,
  scratch,
  scriptOutput,
  type SluiceMount,
} from "@sluice/testkit";
import { Errno } from "@sluice/vfs";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const HIDING = policyOf("grant", { name: "secrets", path: ["**/.env", "secrets", "later/*.key"], effect: "hide" });
const SHOWING = policyOf("grant");

/** The code of the error, or "done". */
function outcome(act: () => unknown): string {
  try {
    act();
    return "done";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

async function mounted(policy = HIDING): Promise<SluiceMount> {
  const { lower, upper } = layers({
    lower: { ".env": "key", "app/.env": "key", "app/main": "code", "secrets/inner/key": "key", "only/.env": "key", "later/a": "a" },
    upper: { "app/other": "code" },
  });
  return mountSluice({ lowers: [lower], upper, policy });
}

function edit(mount: SluiceMount, policy: string): void {
  writeFileSync(mount.policyFile as string, policy);
}

test("hidden names are in no look-up, listing or open, at the root, in merged and in plain directories", async () => {
  const mount = await mounted();
  for (const path of [".env", "app/.env", "only/.env", "secrets", "secrets/inner", "secrets/inner/key"]) {
    expect([
      path,
      existsSync(mount.path(path)),
      outcome(() => lstatSync(mount.path(path))),
      outcome(() => readFileSync(mount.path(path))),
    ]).toEqual([path, false, "ENOENT", "ENOENT"]);
  }
  expect(readdirSync(mount.mountpoint).sort()).toEqual(["app", "later", "only"]);
  expect(readdirSync(mount.path("app")).sort()).toEqual(["main", "other"]);
  expect(readdirSync(mount.path("only"))).toEqual([]);
  expect(readFileSync(mount.path("app/main"), "utf8")).toBe("code");
  expect((await mount.stop()).code).toBe(0);
});

test("nobody can make a hidden name, whether it exists or not", async () => {
  const mount = await mounted();
  const main = mount.path("app/main");
  mkdirSync(mount.path("app/sub"));
  mkdirSync(mount.path("moved"));
  // Answers for whole directories are cached from now on.
  writeFileSync(mount.path("app/made"), "x");
  symlinkSync("main", mount.path("app/link"));
  linkSync(main, mount.path("app/second"));
  renameSync(mount.path("app/second"), mount.path("app/third"));
  for (const path of ["app/.env", "later/new.key", "secrets", "app/sub/.env"]) {
    const at = mount.path(path);
    expect([
      path,
      outcome(() => writeFileSync(at, "x")),
      outcome(() => mkdirSync(at)),
      outcome(() => symlinkSync("main", at)),
      outcome(() => linkSync(main, at)),
      outcome(() => renameSync(main, at)),
      outcome(() => renameSync(mount.path("moved"), at)),
    ]).toEqual([path, ...Array.from({ length: 6 }, () => "EACCES")]);
    expect((await scriptOutput(["sh", "-c", 'mknod "$1" p 2>&1 || true', "sh", at])).toLowerCase()).toContain("permission denied");
  }
  expect(outcome(() => unlinkSync(mount.path(".env")))).toBe("ENOENT");
  expect(outcome(() => rmdirSync(mount.path("secrets")))).toBe("ENOENT");
  expect(outcome(() => renameSync(mount.path(".env"), mount.path("shown")))).toBe("ENOENT");
  expect(outcome(() => linkSync(mount.path(".env"), mount.path("shown")))).toBe("ENOENT");
  expect(readdirSync(mount.mountpoint).sort()).toEqual(["app", "later", "moved", "only"]);
  expect((await mount.stop()).code).toBe(0);
});

test("a file without a name is no name that rules forbid, and gets none of these by a link", async () => {
  const mount = await mounted(
    policyOf(
      "grant",
      { name: "saves", path: ["**/#*", "**/.*"], effect: "hide" },
      { name: "temporary", path: ["**/*tmp*", "sealed/*"], effect: "deny" },
    ),
  );
  mkdirSync(mount.path("sealed"));
  const actor = await Actor.start();
  const linked = (directory: string, path: string): Promise<number> =>
    actor.do("syscall", "tmpfile-link", mount.path(directory), mount.path(path));
  expect(await linked("app", "app/fine")).toBe(0);
  expect(readFileSync(mount.path("app/fine"), "utf8")).toBe("smuggled");
  for (const path of ["app/#save#", "app/.env", "later/#new", "app/a.tmp", "sealed/new"])
    expect([path, await linked("app", path)]).toEqual([path, -Errno.EACCES]);
  // Nothing may be made in this directory, whatever its name.
  expect(await linked("sealed", "app/new")).toBe(-Errno.EACCES);
  expect(readdirSync(mount.path("app")).sort()).toEqual(["fine", "main", "other"]);
  expect((await mount.stop()).code).toBe(0);
});

test("a directory that holds hidden names can be neither removed nor moved nor replaced", async () => {
  const mount = await mounted();
  mkdirSync(mount.path("empty"));
  mkdirSync(mount.path("above"));
  expect(outcome(() => rmdirSync(mount.path("only")))).toBe("ENOTEMPTY");
  expect(outcome(() => renameSync(mount.path("only"), mount.path("elsewhere")))).toBe("EACCES");
  expect(outcome(() => renameSync(mount.path("app"), mount.path("above/app")))).toBe("EACCES");
  expect(outcome(() => renameSync(mount.path("empty"), mount.path("only")))).toBe("ENOTEMPTY");
  // Its name would be hidden at the new path.
  writeFileSync(mount.path("above/x.key"), "key");
  rmdirSync(mount.path("empty"));
  unlinkSync(mount.path("later/a"));
  rmdirSync(mount.path("later"));
  expect(outcome(() => renameSync(mount.path("above"), mount.path("later")))).toBe("EACCES");
  unlinkSync(mount.path("above/x.key"));
  expect(outcome(() => renameSync(mount.path("above"), mount.path("later")))).toBe("done");
  expect((await mount.stop()).code).toBe(0);
});

test("an edit of the policy hides names that the kernel has cached, and shows them again", async () => {
  const mount = await mounted(SHOWING);
  const cached = (): string[] => readdirSync(mount.path("app")).sort();
  const inner = openSync(mount.path("app/main"), "r");
  for (let round = 0; round < 2; round++) {
    expect(cached()).toEqual([".env", "main", "other"]);
    expect(cached()).toEqual([".env", "main", "other"]);
    expect(readFileSync(mount.path("secrets/inner/key"), "utf8")).toBe("key");
    statSync(mount.path("app/.env"));
    edit(mount, HIDING);
    const gone = ["app/.env", "secrets", "secrets/inner/key"];
    await eventually("the names vanish", 30_000, () => gone.every((path) => !existsSync(mount.path(path))));
    await eventually("the listing is without them", 30_000, () => cached().join() === "main,other");
    edit(mount, SHOWING);
    await eventually("the names are back", 30_000, () => cached().includes(".env") && existsSync(mount.path("secrets/inner/key")));
  }
  closeSync(inner);
  expect((await mount.stop()).code).toBe(0);
});

test("a listing of very many hidden names ends, and gives the others", async () => {
  const hidden = Object.fromEntries(Array.from({ length: 12_000 }, (_, at) => [`d/${at}.o`, ""]));
  for (const upper of [{ "d/up.c": "" }, {}]) {
    const made = layers({ lower: { ...hidden, "d/low.c": "" }, upper });
    const mount = await mountSluice({
      lowers: [made.lower],
      upper: made.upper,
      policy: policyOf("grant", { name: "objects", path: "**/*.o", effect: "hide" }),
    });
    expect(readdirSync(mount.path("d")).sort()).toEqual(["low.c", ...Object.keys(upper).map(() => "up.c")]);
    expect((await mount.stop()).code).toBe(0);
  }
}, 120_000);

test("a file with a hidden and a visible name is there by the visible one", async () => {
  const { lower, upper } = layers({ lower: { "app/seen": "shared", "app/.env": hardLink("app/seen") }, upper: {} });
  const mount = await mountSluice({ lowers: [lower], upper, policy: SHOWING });
  // The mount knows both names, and asks about opens by both.
  expect(statSync(mount.path("app/.env")).ino).toBe(statSync(mount.path("app/seen")).ino);
  edit(mount, HIDING);
  await eventually("the name vanishes", 30_000, () => !existsSync(mount.path("app/.env")));
  expect(readFileSync(mount.path("app/seen"), "utf8")).toBe("shared");
  writeFileSync(mount.path("app/seen"), "written");
  expect(readFileSync(mount.path("app/seen"), "utf8")).toBe("written");
  expect(outcome(() => statSync(mount.path("app/.env")))).toBe("ENOENT");
  expect((await mount.stop()).code).toBe(0);
});

/** Takes a handle of each path while it is shown, waits until it is hidden, and opens by the handles. */
const BY_HANDLE = `
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { native } from "@sluice/native";
const [mountpoint, policyFile, policy, ...paths] = process.argv.slice(1);
const mount = native.openat(-100, mountpoint, 0o200000, 0);
const handles = paths.map((path) => {
  const handle = Buffer.alloc(128);
  const both = native.nameToHandleAt(-100, path, 0, handle);
  return [both >>> 16, handle.subarray(0, both & 0xffff)];
});
writeFileSync(policyFile, policy);
while (existsSync(paths[0])) await new Promise((resolve) => setTimeout(resolve, 20));
const open = () => handles.map(([type, bytes]) => {
  const fd = native.openByHandleAt(mount, type, bytes, 0);
  return fd < 0 ? fd : "opened";
});
// The answer for the whole mount is cached from now on.
readFileSync(paths.at(-1));
const before = open();
writeFileSync("/proc/sys/vm/drop_caches", "2");
console.log(JSON.stringify([before, open()]));
`;

test("a file handle from before does not lead to a hidden file", async () => {
  const mount = await mounted(SHOWING);
  const paths = [mount.path("app/.env"), mount.path("secrets/inner/key"), mount.path("app/main")];
  const script = [process.execPath, "--input-type=module", "-e", BY_HANDLE, mount.mountpoint, mount.policyFile as string, HIDING];
  const [before, after] = JSON.parse(await scriptOutput([...script, ...paths])) as [unknown[], unknown[]];
  for (const results of [before, after]) {
    expect(results[2]).toBe("opened");
    for (const hidden of results.slice(0, 2)) expect([-Errno.ENOENT, -Errno.ESTALE]).toContain(hidden);
  }
  expect((await mount.stop()).code).toBe(0);
});

test("the listing of the root is dropped even if the kernel has forgotten all that it lists", async () => {
  const mount = await mounted(SHOWING);
  const shown = (): string => readdirSync(mount.mountpoint).sort().join(" ");
  for (const _ of ["read", "from the cache"]) expect(shown()).toBe(".env app later only secrets");
  // The inodes go, and the root keeps its cached listing.
  writeFileSync("/proc/sys/vm/drop_caches", "2");
  edit(mount, HIDING);
  await eventually("hidden names are gone", 30_000, () => shown() === "app later only");
  expect((await mount.stop()).code).toBe(0);
});

test("an open file whose name is hidden is refused from then on", async () => {
  const lower = plant(scratch(), { d: directory({ mode: 0o755 }), "d/.env": "key" });
  const mount = await mountSluice({ lowers: [lower], policy: policyOf("mediate") });
  const fd = openSync(mount.path("d/.env"), "r");
  expect(readFileSync(fd, "utf8")).toBe("key");
  edit(mount, HIDING);
  const refused = async (): Promise<string> => scriptOutput(["sh", "-c", `cat /proc/${process.pid}/fd/${fd} 2>&1 || true`]);
  await eventually("the file is gone", 30_000, async () => (await refused()) !== "key");
  closeSync(fd);
  expect((await mount.stop()).code).toBe(0);
});

test("explain tells by which rule a name is hidden", async () => {
  const mount = await mounted();
  const told = await runSluice(["explain", mount.path("app/.env"), "--json"]);
  expect(told.code).toBe(0);
  expect(JSON.parse(told.stdout)).toMatchObject({
    effect: "deny",
    errno: "ENOENT",
    rule: "secrets",
    reason: "rule 'secrets' hides the name",
  });
  expect((await mount.stop()).code).toBe(0);
});
