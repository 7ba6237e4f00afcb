/** How a command gets a mount's layers, and which processes it believes about them. */
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  asUser,
  file,
  mountsShareProcess,
  mountSluice,
  plant,
  requires,
  type RunningScript,
  runScript,
  runSluice,
  scratch,
  type SluiceMount,
  startScript,
} from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const { test: asAnyUser } = requires("/dev/fuse", "CAP_SYS_ADMIN", "checkout that every user can read");
const USER = { uid: 1000, gid: 1000 };
const CLI = new URL("../../../packages/cli/bin/sluice.cjs", import.meta.url).pathname;

test("diff and export of a mount over its own lower layer show the changes", async () => {
  const root = scratch();
  const lower = plant(join(root, "tree"), { gone: "g", changed: "old", "d/kept": "k" });
  const upper = join(root, "upper");
  mkdirSync(upper);
  const mount = await mountSluice({ lowers: [lower], upper, mountpoint: lower, args: ["-o", "nonempty"] });
  rmSync(mount.path("gone"));
  writeFileSync(mount.path("changed"), "new!");
  writeFileSync(mount.path("d/made"), "made");
  const shown = "M changed\nA d/made\nD gone\n";
  expect(await mount.cli("diff")).toMatchObject({ code: 0, stdout: shown, stderr: "" });
  const archive = join(root, "layer.tar");
  expect(await mount.cli("export", "--output", archive)).toMatchObject({ code: 0 });
  const { stdout } = await runScript(["tar", "-tf", archive]);
  expect(stdout.trimEnd().split("\n").sort()).toEqual([".wh.gone", "./", "changed", "d/", "d/made"].sort());
  await mount.stop();
  expect((await runSluice(["diff", "--upper", upper, "--lower", lower])).stdout).toBe(shown);
});

test("export, commit and fsck find the data of metadata-only files in data-only layers, of a mount or by name", async () => {
  const root = scratch();
  const lower = plant(join(root, "lower"), {
    f: {
      kind: "sparse",
      sizeBytes: 5,
      extents: [],
      mode: 0o644,
      xattrs: { "trusted.overlay.metacopy": "", "trusted.overlay.redirect": "/blobs/b" },
    },
  });
  const data = plant(join(root, "data"), { "blobs/b": "DATA\n" });
  const [upper, work] = [join(root, "upper"), join(root, "work")];
  for (const path of [upper, work]) mkdirSync(path);
  const mount = await mountSluice({ lowers: [lower], dataLowers: [data], upper, work, args: ["-o", "metacopy=on"] });
  renameSync(mount.path("f"), mount.path("g"));
  const archive = join(root, "layer.tar");
  const content = async (): Promise<string> => (await runScript(["tar", "-xOf", archive, "g"])).stdout;
  expect(await mount.cli("export", "--output", archive)).toMatchObject({ code: 0 });
  expect(await content()).toBe("DATA\n");
  await mount.stop();
  const layers = ["--upper", upper, "--lower", `${lower}::${data}`];
  expect(await runSluice(["export", ...layers, "--output", archive])).toMatchObject({ code: 0 });
  expect(await content()).toBe("DATA\n");
  expect(await runSluice(["fsck", ...layers, "--work", work])).toMatchObject({ code: 0, stdout: expect.stringContaining(": no problems") });
  const made = join(root, "made");
  const hint = `${made}: 3 objects; mount it with --lower ${made}:${lower}::${data}\n`;
  expect(await runSluice(["commit", ...layers, "--into", made])).toMatchObject({ code: 0, stdout: hint });
  expect(readFileSync(join(made, "g"), "utf8")).toBe("DATA\n");
});

test("diff works on a mount with more layers than one record passes", async () => {
  const root = scratch();
  const lowers = Array.from({ length: 300 }, (_each, index) => plant(join(root, `l${index}`), { [`f${index}`]: "f" }));
  const upper = join(root, "upper");
  mkdirSync(upper);
  const mount = await mountSluice({ lowers, upper });
  for (const name of ["f0", "f150", "f299"]) rmSync(mount.path(name));
  expect(await mount.cli("diff")).toMatchObject({ code: 0, stdout: "D f0\nD f150\nD f299\n", stderr: "" });
  await mount.stop();
});

interface Owned {
  mount: SluiceMount;
  run: string;
}

/** A mount for an ordinary user, whose server runs as that user. */
async function mountForUser(): Promise<Owned> {
  const root = scratch();
  chmodSync(root, 0o755);
  const lower = plant(join(root, "lower"), { f: file("lower"), gone: file("g") });
  const [upper, work, mountpoint] = ["upper", "work", "mnt"].map((name) => join(root, name)) as [string, string, string];
  for (const path of [upper, work, mountpoint]) mkdirSync(path);
  await runScript(["chown", "-R", "1000:1000", lower, upper, work, mountpoint]);
  const args = ["--keeper", "on", "--user", "1000:1000", "-o", "userxattr"];
  const mount = await mountSluice({ lowers: [lower], upper, work, mountpoint, args });
  return { mount, run: join("/run/sluice", createHash("sha256").update(mountpoint).digest("hex").slice(0, 16)) };
}

asAnyUser("a user gets the layers of their mount with their own rights, and root takes no layers from that user's server", async () => {
  const { mount } = await mountForUser();
  await asUser(USER.uid, USER.gid, ["rm", mount.path("gone")]);
  const own = await runScript([process.execPath, CLI, "diff", mount.mountpoint], { as: USER });
  expect([own.code, own.stdout]).toEqual([0, "D gone\n"]);
  const roots = await mount.cli("diff");
  expect([roots.code, roots.stderr]).toEqual([
    4,
    `sluice: ${mount.mountpoint}: its server runs as uid 1000, and root takes no layers from it (EPERM): run this as that user, or name the layers with --upper and --lower\n`,
  ]);
  expect((await mount.cli("status")).code).toBe(0);
  await mount.stop();
});

/** Answers with layers of its choice, in the format of every version. */
const FORGER = `
import { createServer } from "node:net";
import { rmSync, chmodSync } from "node:fs";
const [path, upper] = process.argv.slice(1);
rmSync(path, { force: true });
const item = { mountpoint: process.argv[3], upper, lowers: [], userXattr: true };
createServer((socket) => {
  socket.on("error", () => undefined);
  socket.once("data", () => socket.end([{ item }, { done: true }].map((line) => JSON.stringify(line) + "\\n").join("")));
}).listen(path, () => {
  chmodSync(path, 0o666);
  console.log("listens");
});`;

async function forge(path: string, upper: string, { mountpoint, uid }: { mountpoint: string; uid: number }): Promise<RunningScript> {
  const argv = [process.execPath, "--input-type=module", "-e", FORGER, path, upper, mountpoint];
  const forger = startScript(argv, { as: { uid, gid: uid }, timeoutMs: 150_000 });
  await forger.waitFor("listens");
  return forger;
}

asAnyUser("an impostor of a user's server cannot lead root to root's own files", async () => {
  const { mount, run } = await mountForUser();
  const hidden = join(scratch(), "hidden");
  plant(hidden, { secret: "only root's" });
  chmodSync(hidden, 0o700);
  const forger = await forge(join(run, "control.sock"), hidden, { mountpoint: mount.mountpoint, uid: 1000 });
  const archive = join(scratch(), "x.tar");
  const exported = await mount.cli("export", "--output", archive);
  expect([exported.code, exported.stderr]).toEqual([4, expect.stringContaining("root takes no layers from it (EPERM)")]);
  expect(existsSync(archive)).toBe(false);
  expect((await mount.cli("diff")).code).toBe(4);
  const listed = await runSluice(["status", "--json"]);
  expect([listed.code, listed.stderr]).toEqual([0, ""]);
  const all = JSON.parse(listed.stdout) as { mountpoint: string; problem?: string }[];
  expect(all.find(({ mountpoint }) => mountpoint === mount.mountpoint)?.problem).toContain("is not a Sluice daemon (EPROTO)");
  expect(await runSluice(["asks"])).toMatchObject({ code: 0, stderr: "no questions\n" });
  expect((await mount.cli("asks")).stderr).toContain("is not a Sluice daemon (EPROTO)");
  forger.kill();
  await forger.finished;
  await mount.stop();
  expect(readdirSync(hidden)).toEqual(["secret"]);
});

test("a process that belongs neither to the mount's owner nor to root is not believed", async () => {
  const root = scratch();
  chmodSync(root, 0o755);
  const lower = plant(join(root, "lower"), { f: "f" });
  const upper = join(root, "upper");
  mkdirSync(upper);
  const mount = await mountSluice({ lowers: [lower], upper });
  const open = join(root, "open");
  mkdirSync(open);
  chmodSync(open, 0o777);
  const socket = join(open, "c.sock");
  const forger = await forge(socket, upper, { mountpoint: mount.mountpoint, uid: 1000 });
  for (const command of ["status", "diff", "grants", "unmount"]) {
    const { code, stderr } = await mount.cli(command, "--control", socket);
    expect([command, code, stderr]).toEqual([
      command,
      4,
      expect.stringMatching(/c\.sock: a process of uid 1000 answers there, and the mount is uid 0's \(EPERM\)/),
    ]);
  }
  forger.kill();
  await forger.finished;
  await mount.stop();
});

asAnyUser("a link from a user's run directory to another server of root's ends no other mount", async () => {
  const { mount, run } = await mountForUser();
  const other = await mountSluice({ lowers: [plant(scratch(), { f: "f" })] });
  const target = join("/run/sluice", createHash("sha256").update(other.mountpoint).digest("hex").slice(0, 16), "control.sock");
  expect(existsSync(target)).toBe(true);
  rmSync(join(run, "control.sock"));
  symlinkSync(target, join(run, "control.sock"));
  const { code, stderr } = await mount.cli("unmount");
  expect([code, stderr]).toEqual([4, expect.stringContaining("a process of uid 0 answers there, and the mount is uid 1000's (EPERM)")]);
  expect((await other.cli("status")).code).toBe(0);
  await other.stop();
  await mount.stop();
});
