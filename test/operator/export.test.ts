/**
 * The upper layer as an OCI layer: after another program's tar unpacks it over the same lower layer, it shows the same tree.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, lstatSync, mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  charDevice,
  diffSnapshots,
  directory,
  file,
  plant,
  requires,
  runSluice,
  scratch,
  socket,
  startScript,
  treeHash,
  whiteout,
} from "@sluice/testkit";
import { expect } from "vitest";
import { changedLayers, layersBelow } from "./changed-layers.js";

const { test } = requires("CAP_SYS_ADMIN", "kernel overlayfs", "command tar", "command setfattr");
const CLI = fileURLToPath(new URL("../../packages/cli/bin/sluice.cjs", import.meta.url));

/** Unpacks a layer as an image tool does: GNU tar, then the marks in the form of the file system. */
function unpack(archive: string, into: string): void {
  mkdirSync(into);
  execFileSync("tar", ["--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf", archive, "-C", into]);
  execFileSync("sh", ["-ec", CONVERT], { cwd: into });
}

/** Directories keep the times from the archive. */
const CONVERT = `
find . -depth -name '.wh.*' | while read -r mark; do
  dir=$(dirname "$mark"); name=$(basename "$mark")
  touch -r "$dir" ../times
  rm "$mark"
  if [ "$name" = .wh..wh..opq ]; then setfattr -n trusted.overlay.opaque -v y "$dir"; else mknod "$dir/\${name#.wh.}" c 0 0; fi
  touch -r ../times "$dir"
done
`;

test("an exported layer, unpacked as a lower layer, shows the same merged tree, and the same tree gives the same bytes", async () => {
  const layers = changedLayers();
  const args = ["export", "--upper", layers.upper, "--lower", layers.lower, "--output"];
  const [one, other] = [join(layers.root, "one.tar"), join(layers.root, "other.tar")];
  for (const archive of [one, other]) expect(await runSluice([...args, archive])).toMatchObject({ code: 0 });
  const hash = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");
  expect(hash(one)).toBe(hash(other));
  const unpacked = join(layers.root, "unpacked");
  unpack(one, unpacked);
  expect(diffSnapshots(layers.merged, layersBelow([unpacked, layers.lower]))).toEqual([]);
  const names = execFileSync("tar", ["-tf", one], { encoding: "latin1" }).split("\n");
  expect(names).toEqual(expect.arrayContaining(["./", ".wh.gone", "again/.wh..wh..opq", "moved/.wh..wh..opq", "new again"]));
  expect(names.filter((name) => /gone|tree/.test(name))).toEqual([".wh.gone", ".wh.tree"]);
});

test("exports to a pipe, and reports objects that an archive cannot hold", async () => {
  const root = scratch();
  const upper = join(root, "upper");
  mkdirSync(upper);
  plant(upper, { "d/f": file("f"), "d/socket": socket(), gone: whiteout() });
  const piped = await runSluice(["export", "--upper", upper]);
  expect(piped.stderr).toBe("sluice: d/socket: omitted: a tar archive cannot hold a socket\n");
  expect(piped.code).toBe(0);
  expect(piped.stdout).toContain(".wh.gone");
  plant(upper, { ".wh.taken": file("x") });
  const refused = await runSluice(["export", "--upper", upper, "--output", join(root, "x.tar")]);
  expect(refused).toMatchObject({
    code: 4,
    stderr: expect.stringMatching(/^sluice: \.wh\.taken: in an OCI layer a name that begins with/),
  });
  expect(() => readFileSync(join(root, "x.tar"))).toThrow();
  // A failed export removes its own file, and never a device.
  plant(root, { device: charDevice(1, 3) });
  expect(await runSluice(["export", "--upper", upper, "--output", join(root, "device")])).toMatchObject({ code: 4 });
  expect(lstatSync(join(root, "device")).isCharacterDevice()).toBe(true);
});

test("export refuses objects that depend on a lower layer which is not given", async () => {
  const upper = scratch();
  plant(upper, { "moved/": directory({ xattrs: { "trusted.overlay.redirect": "/from" } }) });
  const { code, stderr } = await runSluice(["export", "--upper", upper]);
  expect(code).toBe(4);
  expect(stderr).toMatch(/moved: its origin before the rename is in none of the given layers: give all its layers with --lower/);
});

test("a small archive that cannot be written is an error", async () => {
  const [root, upper] = [scratch(), plant(scratch(), { f: "f" })];
  const exported = (output: string): ReturnType<typeof runSluice> => runSluice(["export", "--upper", upper, "--output", output]);
  const failure = (errno: string): object => ({
    code: 1,
    stderr: expect.stringMatching(new RegExp(`^sluice: [^:]+: the archive cannot be written \\(${errno}\\): name a file`)),
  });
  expect(await exported(join(root, "missing/layer.tar"))).toMatchObject(failure("ENOENT"));
  expect(await exported(root)).toMatchObject(failure("EISDIR"));
  expect(await exported("/dev/full")).toMatchObject(failure("ENOSPC"));
});

test("an archive is not written into one of its own layers", async () => {
  const root = plant(scratch(), { "lower/f": "f", "upper/d/new": "n" });
  const before = treeHash(root);
  const args = ["export", "--upper", join(root, "upper"), "--lower", join(root, "lower"), "--output"];
  for (const output of ["upper/layer.tar", "upper/d/new", "lower/f"])
    expect(await runSluice([...args, join(root, output)])).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/: it would lie inside layer .*\/(lower|upper) \(ELOOP\): name a directory outside of the layers\n$/),
    });
  expect(treeHash(root)).toBe(before);
});

test("a signal that ends an export removes the half of the archive", async () => {
  const [root, lower, upper] = [scratch(), scratch(), scratch()];
  const [large, archive] = [join(upper, "large"), join(root, "layer.tar")];
  writeFileSync(large, "");
  // A hole: writing the archive takes longer than this test.
  truncateSync(large, 2 ** 36);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    const argv = [process.execPath, CLI, "export", "--upper", upper, "--lower", lower, "--output", archive];
    const command = startScript(argv);
    await expect.poll(() => statSync(archive, { throwIfNoEntry: false })?.size ?? 0).toBeGreaterThan(0);
    command.kill(signal);
    expect((await command.finished).signal).toBe(signal);
    expect(existsSync(archive)).toBe(false);
  }
});
