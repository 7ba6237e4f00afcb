/**
 * `sluice fsck` reports nothing on layers from the kernel. It finds each kind of damage, repairs it if possible, and finds
 * nothing afterwards.
 */
import { chmodSync, linkSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { directory, file, hardLink, mountSluice, plant, requires, runSluice, scratch, whiteout } from "@sluice/testkit";
import { expect } from "vitest";
import { changedLayers, layersBelow } from "./changed-layers.js";

const { test } = requires("CAP_SYS_ADMIN", "kernel overlayfs", "command setfattr");
const mounts = requires("/dev/fuse", "CAP_SYS_ADMIN");

interface Found {
  path: string;
  in: string;
  what: string;
  damage: boolean;
  mend: string | null;
  state: string;
}

test("finds layers from the kernel in order", async () => {
  const { lower, upper, work } = changedLayers();
  const result = await runSluice(["fsck", "--upper", upper, "--lower", lower, "--work", work]);
  expect(result).toMatchObject({ code: 0, stdout: `${upper}: no problems\n`, stderr: "" });
});

const mark = (name: string, value: string | Uint8Array): Record<string, string | Uint8Array> => ({ [`trusted.overlay.${name}`]: value });
const NOWHERE = Buffer.from(`00fb1d0001${"00".repeat(16)}ffffffff00000000`, "hex");

function damaged(): { lower: string; upper: string; work: string } {
  const root = scratch();
  const at = (name: string): string => {
    const path = join(root, name);
    mkdirSync(path);
    return path;
  };
  const layers = { lower: at("lower"), upper: at("upper"), work: at("work") };
  plant(layers.lower, { "from/inside": file("inside"), "other/x": file("x"), data: file("data"), hidden: file("h") });
  plant(layers.upper, {
    nothing: whiteout(),
    hidden: whiteout(),
    "renamed/": directory({ xattrs: mark("redirect", "/from") }),
    "twice/": directory({ xattrs: mark("redirect", "other") }),
    "twice again/": directory({ xattrs: mark("redirect", "/other") }),
    "lost/": directory({ xattrs: mark("redirect", "/was/never") }),
    "lost/own": file("own"),
    "malformed/": directory({ xattrs: mark("redirect", "/../up") }),
    "opaque/": directory({ xattrs: mark("opaque", "maybe") }),
    bad: file("bad", { xattrs: mark("origin", "rubbish") }),
    stray: file("stray", { xattrs: mark("origin", NOWHERE) }),
    empty: file("", { xattrs: mark("metacopy", "") }),
    count: file("count", { xattrs: mark("nlink", "three") }),
  });
  plant(layers.work, { "work/#1f": file("half a copy"), "index/#2": file(""), [`index/00fb1d00${"11".repeat(20)}`]: file("orphan") });
  return layers;
}

test("finds each kind of damage and repairs it if possible, and the kernel then shows the intended tree", async () => {
  const { lower, upper, work } = damaged();
  const args = ["fsck", "--json", "--upper", upper, "--lower", lower, "--work", work];
  const run = async (...more: string[]): Promise<{ code: number | null; found: Found[] }> => {
    const { code, stdout, stderr } = await runSluice([...args, ...more]);
    expect(stderr).toBe("");
    return { code, found: JSON.parse(stdout) as Found[] };
  };
  const { code, found } = await run();
  expect(code).toBe(1);
  const shown = found.map(({ path, damage, what, mend }) => `${damage ? "damage" : "untidy"} ${path}: ${what} -> ${mend}`).sort();
  expect(shown).toEqual(
    [
      "untidy bad: an origin mark that is malformed -> remove its origin mark",
      'damage count: a count of links that is malformed: "three" -> remove its nlink mark',
      "damage empty: a metadata-only copy whose data lies in no layer -> null",
      "untidy index/#2: its name is no file handle: it was not finished -> remove it",
      `untidy index/00fb1d00${"11".repeat(20)}: an entry of the index whose file has no name any more -> remove it`,
      "damage lost: its redirect leads nowhere: /was/never; its content from below is missing -> remove its redirect mark",
      'damage malformed: a redirect that is malformed: "/../up" -> remove its redirect mark',
      "untidy nothing: a whiteout that hides nothing -> remove it",
      'untidy opaque: an opaque mark that says "maybe", and hides nothing -> remove its opaque mark',
      "damage renamed: it was renamed from from, which still shows what it had -> hide from by a whiteout",
      "untidy stray: its origin lies in none of the lower layers: its inode number is another one than before -> remove its origin mark",
      "damage twice: it was renamed from other, which still shows what it had -> hide other by a whiteout",
      "damage twice again: it and twice are redirected to one place: one of the two is a copy -> null",
      "damage twice again: it was renamed from other, which still shows what it had -> hide other by a whiteout",
      "untidy : it holds what was copied up or renamed, and is not marked impure: readdir may give other inode numbers than stat -> mark it impure",
      "untidy work/#1f: left by a mount that was interrupted -> remove it",
    ].sort(),
  );
  const mended = await run("--fix");
  expect(mended.code).toBe(1);
  const left = mended.found.filter(({ state }) => state !== "mended").map(({ path, what }) => `${path}: ${what}`);
  const stays = [
    "empty: a metadata-only copy whose data lies in no layer",
    "twice again: it and twice are redirected to one place: one of the two is a copy",
  ];
  expect(left.sort()).toEqual(stays);
  expect((await run()).found.map(({ path, what }) => `${path}: ${what}`).sort()).toEqual(stays);
  // By hand, as fsck says: the kernel itself refuses to list a directory with two entries of one origin (ESTALE).
  for (const name of ["empty", "twice again"]) rmSync(join(upper, name), { recursive: true });
  const merged = layersBelow([lower], { upper, work });
  expect([...merged.keys()]).toEqual(expect.arrayContaining(["renamed/inside", "lost/own", "twice/x"]));
  for (const name of ["from", "other", "nothing", "hidden"]) expect(merged.has(name), name).toBe(false);
});

test("reports a mount that was volatile, and a live mount", async () => {
  const { lower, upper, work } = damaged();
  mkdirSync(join(work, "work/incompat/volatile"), { recursive: true });
  const { stdout } = await runSluice(["fsck", "--upper", upper, "--lower", lower, "--work", work]);
  expect(stdout).toMatch(/DAMAGE {2}work directory: work\/incompat\/volatile: an earlier mount was volatile.*: mend it by hand/);
  expect((await runSluice(["fsck", "--upper", upper])).stderr).toBe("sluice: fsck: no lower layer is given: add --lower DIR\n");
});

for (const index of ["on", "off"]) {
  mounts.test(`finds copies of files with several names in order, with index=${index}`, async () => {
    const [lower, upper, work] = [scratch(), scratch(), scratch()];
    plant(lower, { "d/one": file("of two names"), "d/two": hardLink("d/one"), three: file("too"), "d/four": hardLink("three") });
    const mount = await mountSluice({ lowers: [lower], upper, work, args: ["-o", `index=${index}`] });
    const at = (name: string): string => join(mount.mountpoint, name);
    mkdirSync(at("new"));
    renameSync(at("three"), at("new/three"));
    chmodSync(at("d/one"), 0o600);
    linkSync(at("d/one"), at("new/five"));
    for (const name of ["new", "d", "new"]) readdirSync(at(name));
    expect((await mount.stop()).code).toBe(0);
    const result = await runSluice(["fsck", "--upper", upper, "--lower", lower, "--work", work]);
    expect(result).toMatchObject({ code: 0, stdout: `${upper}: no problems\n` });
  });
}
