/**
 * Marks in the layers, and the options that govern them: each setting on kernel overlayfs and on Sluice, over equal layers
 * and with equal options. The output and the resulting upper layer must be the same.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  directory,
  file,
  hardLink,
  mountsShareProcess,
  plant,
  type Planted,
  policyOf,
  requires,
  scratch,
  startScript,
  symlink,
  type Tree,
  whiteout,
} from "@sluice/testkit";
import { expect } from "vitest";
import { onLayers } from "./formats/alternating.js";
import { onKernel, onSluice, type Setting } from "./formats/side-by-side.js";

mountsShareProcess();

const NEEDS = ["/dev/fuse", "CAP_SYS_ADMIN", "kernel overlayfs"] as const;
const { test } = requires(...NEEDS);
const withPython = requires(...NEEDS, "command python3");
const MEDIATE = policyOf("mediate");

async function alike(setting: Setting): Promise<string> {
  const [kernel, granted, mediated] = await Promise.all([onKernel(setting), onSluice(setting), onSluice(setting, MEDIATE)]);
  expect(granted).toEqual(kernel);
  expect(mediated).toEqual(kernel);
  return kernel.output;
}

/** A metadata-only file of that size. */
function metacopy(size: number, redirect?: string, more: { prefix?: string; mode?: number; mark?: string } = {}): Planted {
  const { prefix = "trusted.overlay.", mode = 0o640, mark = "" } = more;
  const xattrs = { [`${prefix}metacopy`]: mark, ...(redirect === undefined ? {} : { [`${prefix}redirect`]: redirect }) };
  return { kind: "sparse", sizeBytes: size, extents: [], mode, xattrs };
}

const redirected = (to: string): Planted => directory({ xattrs: { "trusted.overlay.redirect": to } });
const showAll = (names: readonly string[]): string => `for f in ${names.join(" ")}; do stat -c "%n %s %a" $f; cat $f; done; ls`;

const chained: readonly Tree[] = [
  { h: metacopy(9, "/g", { mode: 0o600 }), same: metacopy(4), gap: metacopy(9, "f") },
  { g: metacopy(9, "f"), same: metacopy(4, undefined, { mode: 0o644 }) },
  { f: "REALDATA\n", same: "abc\n" },
];

for (const options of ["metacopy=on", "metacopy=off", "redirect_dir=nofollow", "userxattr"]) {
  test(`metadata-only files in a chain of layers: ${options}`, async () => {
    const seen = await alike({ lowers: chained, options, script: showAll(["f", "g", "h", "same", "gap"]) });
    if (options === "metacopy=on") expect(seen.match(/REALDATA/g)).toHaveLength(4);
  });
}

const data: readonly Tree[] = [
  { "blobs/b1": "DATA\n", "blobs/first": "1\n" },
  { "blobs/first": "2\n", "blobs/second": "3\n", hidden: "x", plain: "p" },
];
const pointing: Tree = {
  f: metacopy(5, "/blobs/b1"),
  first: metacopy(2, "/blobs/first"),
  second: metacopy(2, "/blobs/second"),
  dots: metacopy(5, "/blobs/../blobs/b1"),
  relative: metacopy(5, "b1"),
  gone: metacopy(5, "/blobs/none"),
  directory: metacopy(5, "/blobs"),
  plain: metacopy(5),
  longer: metacopy(99, "/blobs/b1"),
  malformed: metacopy(5, "//blobs"),
  empty: metacopy(5, ""),
};

for (const options of ["metacopy=on", "metacopy=off", "metacopy=off,redirect_dir=nofollow", "userxattr"]) {
  test(`data-only layers: ${options}`, async () => {
    const script = showAll([...Object.keys(pointing), "hidden", "blobs"]);
    for (const lowers of options === "metacopy=off" ? [[pointing], [pointing, {}]] : [[pointing]])
      await alike({ lowers, data, options, script });
  });
}

withPython.test("a path with .. into a data-only layer leads there while something else is renamed", async () => {
  const elsewhere = scratch();
  writeFileSync(join(elsewhere, "a"), "");
  const renames = startScript(["python3", "-c", "import os\nwhile True: os.rename('a', 'b'); os.rename('b', 'a')"], { cwd: elsewhere });
  const script = "for round in $(seq 400); do cat dots dots dots dots dots; done | sort | uniq -c";
  const seen = await onSluice({ lowers: [pointing], data, options: "metacopy=on", script });
  renames.kill();
  expect(seen.output.trim()).toBe("2000 DATA");
});

test("a path into a data-only layer does not lead out of it", async () => {
  const outside = scratch();
  plant(outside, { secret: "secret\n" });
  const upwards = `/${"../".repeat(12)}${outside.slice(1)}/secret`;
  const setting = {
    lowers: [{ f: metacopy(7, upwards), l: metacopy(7, "/out/secret") }],
    data: [{ out: symlink(outside) }],
    script: "cat f l",
  };
  expect((await onKernel(setting)).output).not.toContain("secret\n");
  const seen = (await onSluice(setting)).output;
  expect(seen).not.toContain("secret\n");
  expect(seen.match(/^cat: /gm)).toHaveLength(2);
});

test("a file over a data-only layer is copied up with its data when it is written", async () => {
  const change = "chmod 600 f; echo more >> f; cat f; : > first; stat -c %s first; truncate -s 3 longer; cat longer";
  const seen = await onSluice({ lowers: [pointing], data, upper: {}, options: "metacopy=on", script: change });
  expect(seen.output).toBe("DATA\nmore\n0\nDAT");
  expect(Object.values(seen.upper).join("\n")).not.toContain("metacopy");
});

test("a file over a data-only layer is renamed and linked without its data", async () => {
  const change = "mkdir d; mv second away; mv f d; ln first d/one; mv d/one d/two; cat away d/* first; stat -c '%n %h' away d/* first";
  const seen = await alike({ lowers: [pointing], data, upper: {}, options: "metacopy=on", script: change });
  expect(seen).toContain("3\nDATA\n1\n1\n");
});

test("refuses metadata-only files without data, or over an object without any", async () => {
  const upper = {
    none: metacopy(4),
    over_dir: metacopy(4),
    over_link: metacopy(4),
    over_whiteout: metacopy(4),
    cut: metacopy(4, undefined, { mark: "\x01" }),
    overlong: metacopy(4, undefined, { mark: "x".repeat(300) }),
  };
  const lower = {
    "over_dir/": directory(),
    ...{ over_link: symlink("x"), over_whiteout: whiteout(), cut: "abc\n", overlong: "abc\n", alone: metacopy(4) },
  };
  for (const options of ["metacopy=on", "metacopy=off"]) {
    const script = showAll([...Object.keys(upper), "alone"]);
    expect(await onSluice({ lowers: [lower], upper, options, script })).toEqual(
      await onKernel({ lowers: [lower], upper, options, script }, "uuid=null"),
    );
  }
});

test("with metacopy=on a change of attributes alone leaves the data in the lower layer", async () => {
  const lowers = [
    { "d/a": file("content\n", { mode: 0o644 }), "d/b": file("content\n"), "d/c": "content\n", "d/w": "content\n", "d/e": "" },
  ];
  const script =
    "chmod 600 d/a; chown 5:6 d/b; touch -d @5 d/c; stat -c '%n %s %a %u:%g' d/*; cat d/*; chmod 600 d/w; echo x >> d/w; cat d/w; chmod 600 d/e; mv d d2; cat d2/a";
  const setting = { lowers, upper: {}, options: "metacopy=on", script };
  const kernel = await onKernel(setting);
  const sluice = await onSluice(setting);
  expect(sluice).toEqual(kernel);
  expect(sluice.upper["d2/a"]).toContain("trusted.overlay.metacopy");
  expect(sluice.upper["d2/w"]).not.toContain("trusted.overlay.metacopy");
});

test("kernel overlayfs and Sluice complete each other's metadata-only copies", async () => {
  await onLayers({ a: file("content a\n"), b: file("content b\n"), c: file("content c\n") }, async (layers) => {
    expect(await layers.kernel("metacopy=on", "chmod 600 a b; cat a b")).toBe("content a\ncontent b\n");
    expect(await layers.sluice("metacopy=on", "cat a b; echo more >> a; mv b away; chmod 700 c; cat a away c; cat nothing")).toContain(
      "content a\nmore\ncontent b\ncontent c\n",
    );
    expect(await layers.sluice("metacopy=off", "cat c; ls")).toMatch(/cat: c: Operation not permitted\na\naway\nc\n/);
    expect(await layers.kernel("metacopy=on", "cat a away c; stat -c %a a away c; echo more >> c; cat c")).toBe(
      "content a\nmore\ncontent b\ncontent c\n600\n600\n700\ncontent c\nmore\n",
    );
  });
});

/** Each is renamed or linked as a metadata-only copy, whatever the earlier names of its directories. */
const MOVES: Readonly<Record<string, string>> = {
  "within its directory": "mv d/a d/b; mv d/b d/c; cat d/c; ls d",
  "into another directory": "mv d/a a; cat a; mv a e; cat e/a; mkdir n; mv e/a n/b; cat n/b",
  "within its directory, then into another one": "mv d/a d/b; mv d/b e; cat e/b",
  "over a file that lies below": "mv d/a d/x; cat d/x; mv d/x e/y; cat e/y",
  "with its directory": "mv d/a d/b; mv d f; cat f/b; mv f/b g; cat g; mv f/x f/z; mv f e/f; cat e/f/z",
  "in exchange": 'python3 -c \'import ctypes,sys; sys.exit(ctypes.CDLL(None).renameat2(-100, b"d/a", -100, b"e/y", 2))\'; cat d/a e/y',
  "after a change of attributes": "chmod 600 d/a; mv d/a e/a; chmod 640 e/a; cat e/a; stat -c '%a %s' e/a",
  "and written afterwards": "mv d/a e/a; echo more >> e/a; cat e/a; mv e/a d/a; cat d/a",
  "by a link": "ln d/a d/b; ln d/b e/b; cat e/b; rm d/a; cat d/b; stat -c %h e/b; mv e/b d/c; cat d/c",
  "by a link of several names below": "ln h1 d/h3; mv h2 e; cat h1 d/h3 e/h2; mv d/h3 d/h4; stat -c %h d/h4; cat d/h4",
  "several names below, within their directory": "mv h1 h3; cat h2 h3; rm h2; cat h3",
};

/** The lower files of a move, in a directory. */
const named = (at: string): Tree => ({
  [`${at}/d/a`]: file("content a\n"),
  [`${at}/d/x`]: file("content x\n"),
  [`${at}/e/y`]: file("content y\n"),
  [`${at}/h1`]: file("content h\n"),
  [`${at}/h2`]: hardLink(`${at}/h1`),
});

/** Runs the moves, each in a directory of its own, on one mount of each kind. */
async function seenOfMoves(moves: readonly string[], options: string): Promise<readonly SeenOfMove[]> {
  const inEach = (tree: (at: string) => Tree): Tree => Object.assign({}, ...moves.map((_, i) => tree(`m${i}`))) as Tree;
  const script = moves.map((move, i) => `(cd m${i}; ${move}); echo "end of a move"`).join("; ");
  const setting = { lowers: [inEach((at) => ({ [`${at}/over/`]: directory() })), inEach(named)], upper: {}, options, script };
  const all = await Promise.all([onKernel(setting), onSluice(setting), onSluice(setting, MEDIATE)]);
  return moves.map((_, i) => {
    const [kernel, granted, mediated] = all.map(({ output, upper }) => ({
      output: output.split("end of a move\n")[i],
      upper: Object.entries(upper).filter(([path]) => path === `m${i}` || path.startsWith(`m${i}/`)),
    }));
    return { kernel, granted, mediated };
  });
}

type SeenOfMove = Record<"kernel" | "granted" | "mediated", { output: string | undefined; upper: [string, string][] } | undefined>;

for (const { gated, moves } of [
  { gated: requires(...NEEDS), moves: Object.entries(MOVES).filter(([, script]) => !script.includes("python3")) },
  { gated: withPython, moves: Object.entries(MOVES).filter(([, script]) => script.includes("python3")) },
]) {
  for (const options of ["metacopy=on,index=on", "metacopy=on,index=off"]) {
    let ran: ReturnType<typeof seenOfMoves> | undefined;
    for (const [i, [what]] of moves.entries())
      gated.test(`a metadata-only file is renamed and linked without its data: ${what} (${options})`, async () => {
        ran ??= seenOfMoves(
          moves.map(([, script]) => script),
          options,
        );
        const { kernel, granted, mediated } = (await ran)[i] as SeenOfMove;
        expect(granted).toEqual(kernel);
        expect(mediated).toEqual(kernel);
        expect(kernel?.upper.length).toBeGreaterThan(1);
        expect(kernel?.output).not.toMatch(/: /);
      });
  }
}

test("a metadata-only file of several names has its data under each, whichever implementation left it", async () => {
  await onLayers({ h1: file("content\n"), h2: hardLink("h1"), "d/h3": hardLink("h1") }, async (layers) => {
    await layers.kernel("metacopy=on,index=on", "chmod 600 h1");
    expect(await layers.sluice("metacopy=on", "cat d/h3 h2 h1; mv h2 h4; cat h1")).toBe("content\n".repeat(4));
    expect(await layers.kernel("metacopy=on,index=on", "cat h1 h4 d/h3")).toBe("content\n".repeat(3));
    expect(await layers.sluice("metacopy=on", "cat d/h3; echo more >> h4; cat h1")).toBe("content\ncontent\nmore\n");
    expect(await layers.kernel("metacopy=on,index=on", "cat d/h3; stat -c %h h1")).toBe("content\nmore\n3\n");
  });
});

test("each implementation reads, renames and completes the other one's metadata-only renames and links", async () => {
  await onLayers({ "d/a": file("content a\n"), "d/b": file("content b\n"), "e/": directory() }, async (layers) => {
    await layers.kernel("metacopy=on", "mv d/a e/a; ln d/b e/b; mv d f");
    expect(await layers.sluice("metacopy=on", "cat e/a e/b f/b; mv e/a f/c; ln f/b g; mv f h; cat g h/c")).toBe(
      "content a\ncontent b\ncontent b\ncontent b\ncontent a\n",
    );
    expect(await layers.kernel("metacopy=on", "cat h/c g e/b h/b; mv h/c i; echo more >> g; cat i h/b")).toBe(
      "content a\ncontent b\ncontent b\ncontent b\ncontent a\ncontent b\nmore\n",
    );
    expect(await layers.sluice("metacopy=on", "echo more >> i; cat i g; ls")).toBe("content a\nmore\ncontent b\nmore\ne\ng\nh\ni\n");
  });
});

const long = "x".repeat(300);
const targets = [
  "..",
  ".",
  "/..",
  "/../..",
  "a/b",
  "/",
  "//",
  "/a/",
  "/.",
  "",
  long,
  `/${long}`,
  "none",
  "/none",
  "/a/../b",
  "/none/../b",
  "/b",
  "c",
  "/file",
  "/link/x",
];

for (const how of ["on", "follow", "nofollow"]) {
  test(`directories with redirects of every kind, redirect_dir=${how}`, async () => {
    const upper: Record<string, Planted> = {};
    for (const [i, to] of targets.entries()) Object.assign(upper, { [`d${i}/`]: redirected(to), [`d${i}/up`]: "u" });
    const lowers = [{ "a/sub/x": "1", "b/g": "2", "c/h": "3", file: "f", link: symlink("a") }];
    const script = `for i in $(seq 0 ${targets.length - 1}); do echo $i; ls d$i; done`;
    await alike({ lowers, upper, options: `redirect_dir=${how}`, script });
  });
}

test("the redirect of an opaque directory is not looked at, however malformed", async () => {
  const xattrs = { "trusted.overlay.opaque": "y", "trusted.overlay.redirect": "a//b" };
  await alike({ lowers: [{ "a/x": "1", "d/low": "2" }], upper: { "d/": directory({ xattrs }), "d/up": "3" }, script: "ls d; cat d/up" });
});

for (const how of ["on", "off", "follow", "nofollow"]) {
  test(`renames of directories with redirect_dir=${how}`, async () => {
    const move = (from: string, to: string): string => `perl -e 'print rename("${from}", "${to}") ? "ok" : $!+0, "\\n"'`;
    const lowers = [{ "d/a": "1", "e/f": "2" }];
    const setting = {
      lowers,
      upper: { "new/x": "3" },
      options: `redirect_dir=${how}`,
      script: `mkdir t; ${move("d", "t/d")}; ${move("new", "t/new")}; ls -R`,
    };
    expect((await onSluice(setting)).output).toBe((await onKernel(setting)).output);
  });
}

test("redirect_dir=nofollow ignores the redirect of a directory that has nothing to merge with, and refuses others", async () => {
  const upper: Tree = { "own/moved": redirected("/old"), "both/moved": redirected("/old"), "both/last": directory() };
  const middle: Tree = { "both/last": redirected("/old"), "middle/moved": redirected("/old") };
  const script = "for d in own/moved both/moved both/last middle/moved; do ls -A $d; touch $d/new; ls -A $d; done";
  await alike({ upper, lowers: [middle, { "old/f": "f", "both/x": "x" }], options: "redirect_dir=nofollow", script });
});

test("with userxattr marks are user.overlay.*, and neither redirects nor metadata-only files are followed", async () => {
  const prefix = "user.overlay.";
  await alike({
    lowers: [{ "a/x": "1", "o/low": "2", f: "content", "trusted/low": "3" }],
    upper: {
      "d/": directory({ xattrs: { "user.overlay.redirect": "a" } }),
      "o/": directory({ xattrs: { "user.overlay.opaque": "y" } }),
      "trusted/": directory({ xattrs: { "trusted.overlay.opaque": "y" } }),
      f: metacopy(7, undefined, { prefix }),
    },
    options: "userxattr",
    script: "ls d; ls o; ls trusted; cat f; rm -r o; mkdir o; ls o",
  });
});

test("whiteouts as attributes are found by every look-up, and listed by lower directories that are marked for it", async () => {
  const hiding = file("", { xattrs: { "trusted.overlay.whiteout": "" } });
  const x = directory({ xattrs: { "trusted.overlay.opaque": "x" } });
  const kernel = await onKernel({
    lowers: [
      { "x/": x, "x/a": hiding, "x/b": "", "plain/a": hiding },
      { "x/a": "1", "x/b": "2", "x/c": "3", "plain/a": "1" },
    ],
    script: "ls x; cat x/a x/c plain/a; stat -c %s x/b",
  });
  const sluice = await onSluice({
    lowers: [
      { "x/": x, "x/a": hiding, "x/b": "", "plain/a": hiding },
      { "x/a": "1", "x/b": "2", "x/c": "3", "plain/a": "1" },
    ],
    script: "ls x; cat x/a x/c plain/a; stat -c %s x/b",
  });
  expect(sluice).toEqual(kernel);
  expect(sluice.output).toContain("b\nc\n");
});

test("new objects take the place of a whiteout that is an attribute in the upper layer", async () => {
  const names = ["file", "dir", "link", "symbolic", "fifo", "moved", "moved-dir"];
  const hiding = file("", { xattrs: { "trusted.overlay.whiteout": "" } });
  const setting = {
    lowers: [{ "below/": directory(), ...Object.fromEntries(names.map((name) => [`${name}/low`, "1"])) }],
    upper: { old: "text", "olddir/x": "2", ...Object.fromEntries(names.map((name) => [name, hiding])) },
    script: `echo new > file; mkdir dir; ln old link; ln -s old symbolic; mkfifo fifo; mv -T old moved; mv -T olddir moved-dir
      for f in ${names.join(" ")}; do stat -c "%n %F" $f; done; ls dir moved-dir; cat file link moved`,
  };
  const sluice = await onSluice(setting);
  expect(sluice.output).toBe((await onKernel(setting)).output);
  expect(sluice.output).toContain("moved-dir directory");
});
