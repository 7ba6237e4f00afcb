/** Every mistake a user can make with `sluice mount`: one line says what is wrong and what to do, and the exit code fits. */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  cleanUp,
  mountSluice,
  mountsBelow,
  requires,
  runScript,
  runSluice,
  type ScriptOptions,
  type ScriptResult,
  scratch,
} from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const CLI = fileURLToPath(new URL("../../../packages/cli/bin/sluice.cjs", import.meta.url));

/** A scratch directory with everything that a correct command line names. */
interface TestLayers {
  root: string;
  lower: string;
  upper: string;
  work: string;
  mnt: string;
}

function testLayers(): TestLayers {
  const root = scratch();
  const at = (name: string): string => {
    const path = join(root, name);
    mkdirSync(path);
    return path;
  };
  return { root, lower: at("lower"), upper: at("upper"), work: at("work"), mnt: at("mnt") };
}

const full = (g: TestLayers): string[] => ["mount", "--lower", g.lower, "--upper", g.upper, "--work", g.work];

/** Expects one line on standard error, and nothing mounted. */
function expectComplaint(result: ScriptResult, code: number, pattern: RegExp): void {
  expect(result.stderr).toMatch(pattern);
  expect(result.stderr.trimEnd().split("\n")).toHaveLength(1);
  expect(result.stderr).toMatch(/^sluice: [^:].*: .+: .+\n$/);
  expect({ code: result.code, stdout: result.stdout }).toEqual({ code, stdout: "" });
}

async function complains(argv: string[], code: number, pattern: RegExp, options: ScriptOptions = {}): Promise<void> {
  expectComplaint(await runSluice(argv, options), code, pattern);
}

/** Runs as the tests' user, through a command in front: unshare, setpriv, a shell. */
function runChanged(front: string[], argv: string[], program: string = CLI): ScriptResult {
  const [command = "", ...rest] = [...front, process.execPath, program, ...argv];
  const done = spawnSync(command, rest, { encoding: "utf8", timeout: 60_000 });
  return { code: done.status, signal: done.signal, stdout: done.stdout, stderr: done.stderr, timedOut: false };
}

test("without arguments, names the commands to begin with", async () => {
  const { code, stderr } = await runSluice([]);
  expect(code).toBe(2);
  for (const command of ["doctor", "run -- bash", "policy init agent", "mount --lower DIR", "--help"])
    expect(stderr).toContain(`  sluice ${command}`);
});

requires("/dev/fuse", "CAP_SYS_ADMIN", "command bwrap").test(
  "a TMPDIR that is not there hinders no mount in the background, and sluice doctor names it",
  async () => {
    const { lower, mnt } = testLayers();
    const options = { env: { TMPDIR: "/nowhere" } };
    const { code, stdout, stderr } = await runSluice(["mount", "--background", "--log-file", "/dev/null", "--lower", lower, mnt], options);
    expect(code, stderr).toBe(0);
    expect(stdout).toContain(`mounted ${mnt} `);
    expect(await runSluice(["unmount", mnt])).toMatchObject({ code: 0, stderr: "" });
    const doctor = await runSluice(["doctor"], options);
    expect(doctor.code).toBe(3);
    expect(doctor.stdout).toMatch(/^LACK +mount: \/nowhere: no temporary directory can be made there \(ENOENT\)\n +-> set TMPDIR /m);
  },
);

test("output to a full disk is an error: a patch and a layer are not cut short silently", () => {
  const { root, lower, upper } = testLayers();
  const small = join(root, "small");
  mkdirSync(small);
  spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", small]);
  cleanUp(() => void spawnSync("umount", [small]));
  writeFileSync(join(upper, "text"), "a line\n".repeat(50_000));
  const into = (file: string): string[] => ["sh", "-c", 'exec "$@" > "$0"', file];
  const complaint = /^sluice: standard output: it cannot be written \(ENOSPC\): check the room on its disk\n$/;
  for (const command of [["diff", "-p"], ["export"]])
    expectComplaint(runChanged(into(join(small, "out")), [...command, "--upper", upper, "--lower", lower]), 1, complaint);
  for (const words of [
    ["policy", "schema"],
    ["mount", "--help"],
  ])
    expectComplaint(runChanged(into("/dev/full"), words), 1, complaint);
  const programs = ["services/decision/bin/sluice-decision", "packages/overlayfs-cli/bin/sluice-overlayfs"];
  for (const program of programs)
    expectComplaint(
      runChanged(into("/dev/full"), ["--help"], fileURLToPath(new URL(`../../../${program}.cjs`, import.meta.url))),
      1,
      complaint,
    );
});

test("refuses an unknown option", async () => {
  const g = testLayers();
  await complains([...full(g), "--fast", g.mnt], 2, /--fast/);
});

test("refuses an unknown -o option, and a known one that is not supported", async () => {
  const g = testLayers();
  await complains([...full(g), "-o", "userxattr,fastest", g.mnt], 2, /-o fastest: unknown option: /);
  await complains([...full(g), "-o", "redirectdir=on", g.mnt], 2, /-o redirectdir=on: unknown option: did you mean 'redirect_dir'\?\n$/);
  await complains([...full(g), "-o", "nfs_export=on", g.mnt], 2, /-o nfs_export=on: .*: /);
  await complains([...full(g), "-o", "redirect_dir=maybe", g.mnt], 2, /-o redirect_dir=maybe: value is none of on, off, follow/);
});

test("refuses an unknown engine", async () => {
  const g = testLayers();
  await complains([...full(g), "--engine", "fuse-naive", g.mnt], 2, /--engine: "fuse-naive" is none of auto, devfuse, fuse-native/);
});

test("refuses a missing lower layer, and an upper layer without a work directory", async () => {
  const g = testLayers();
  await complains(["mount", g.mnt], 2, /--lower: no lower layer is given/);
  await complains(["mount", "--lower", g.lower, "--upper", g.upper, g.mnt], 2, /--upper: an upper layer needs a work directory/);
});

test("refuses a lower layer that does not exist or is not a directory", async () => {
  const g = testLayers();
  writeFileSync(join(g.root, "file"), "");
  await complains(["mount", "--lower", join(g.root, "none"), g.mnt], 4, /none: lower layer: there is no such directory \(ENOENT\): /);
  await complains(["mount", "--lower", join(g.root, "file"), g.mnt], 4, /file: this lower layer is not a directory \(ENOTDIR\): /);
  // Longer than all that waits for room on standard error.
  await complains(["mount", "--lower", "x".repeat(100_000), g.mnt], 4, /x: lower layer: it cannot be read \(ENAMETOOLONG\): /);
});

requires("/dev/fuse", "CAP_SYS_ADMIN", "command setpriv").test("refuses an unreadable lower layer", () => {
  const g = testLayers();
  chmodSync(g.lower, 0o000);
  const front = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-dac_override,-dac_read_search"];
  expectComplaint(runChanged(front, ["mount", "--lower", g.lower, g.mnt]), 4, /lower: lower layer: it cannot be read \(EACCES\): /);
});

test("refuses upper and work on different file systems", async () => {
  const g = testLayers();
  await complains(
    ["mount", "--lower", g.lower, "--upper", g.upper, "--work", scratch({ on: "tmpfs" }), g.mnt],
    4,
    /on another file system .*\(EXDEV\)/,
  );
});

test("refuses upper and work on different mounts of one file system", async () => {
  const g = testLayers();
  mkdirSync(join(g.root, "other"));
  spawnSync("mount", ["--bind", g.work, join(g.root, "other")]);
  await complains(
    ["mount", "--lower", g.lower, "--upper", g.upper, "--work", join(g.root, "other"), g.mnt],
    4,
    /on another mount .*\(EXDEV\)/,
  );
});

test("refuses an upper layer equal to, inside or around a lower one, also behind a link or a bind mount", async () => {
  const g = testLayers();
  mkdirSync(join(g.lower, "inner"));
  symlinkSync(join(g.lower, "inner"), join(g.root, "link"));
  const withUpper = (upper: string): string[] => ["mount", "--lower", g.lower, "--upper", upper, "--work", g.work, g.mnt];
  await complains(withUpper(g.lower), 4, /this upper layer is the same directory as lower layer/);
  await complains(withUpper(join(g.lower, "inner")), 4, /this upper layer lies inside lower layer/);
  await complains(withUpper(join(g.root, "link")), 4, /this upper layer lies inside lower layer/);
  await complains(withUpper(g.root), 4, /this (upper layer|work directory) (contains|lies inside) /);
  mkdirSync(join(g.root, "bound"));
  spawnSync("mount", ["--bind", join(g.lower, "inner"), join(g.root, "bound")]);
  await complains(withUpper(join(g.root, "bound")), 4, /this upper layer lies inside lower layer/);
});

test("refuses a work directory equal to or inside upper", async () => {
  const g = testLayers();
  mkdirSync(join(g.upper, "work"));
  const withWork = (work: string): string[] => ["mount", "--lower", g.lower, "--upper", g.upper, "--work", work, g.mnt];
  await complains(withWork(g.upper), 4, /this work directory is the same directory as upper layer/);
  await complains(withWork(join(g.upper, "work")), 4, /this work directory lies inside upper layer/);
});

test("refuses a work directory that holds foreign files", async () => {
  const g = testLayers();
  writeFileSync(join(g.work, "thesis.txt"), "");
  await complains([...full(g), g.mnt], 4, /work: the work directory holds "thesis.txt" .*\(ENOTEMPTY\): /);
  expect(existsSync(join(g.work, "thesis.txt"))).toBe(true);
});

test("refuses one directory as two layers", async () => {
  const g = testLayers();
  symlinkSync(g.lower, join(g.root, "again"));
  await complains(
    ["mount", "--lower", `${g.lower}:${join(g.root, "again")}`, g.mnt],
    4,
    /again: it is the same directory as lower layer .*\(ELOOP\): /,
  );
});

test("allows a lower layer inside another one, as the kernel does", async () => {
  const g = testLayers();
  mkdirSync(join(g.lower, "inner"));
  for (const list of [`${g.lower}:${join(g.lower, "inner")}`, `${join(g.lower, "inner")}:${g.lower}`]) {
    await complains(["mount", "--lower", list, g.mnt], 4, /inner: this lower layer lies inside lower layer .*\(ELOOP\): /);
  }
});

test("refuses a mount point that does not exist, is no directory, or is not empty", async () => {
  const g = testLayers();
  writeFileSync(join(g.root, "file"), "");
  await complains([...full(g), join(g.root, "none")], 4, /none: there is no such mount point \(ENOENT\): create it/);
  await complains([...full(g), join(g.root, "file")], 4, /file: the mount point is not a directory \(ENOTDIR\): /);
  writeFileSync(join(g.mnt, "mine"), "");
  await complains([...full(g), g.mnt], 4, /mnt: the mount point is not empty \(ENOTEMPTY\): .* -o nonempty /);
});

test("refuses a mount point that is a Sluice mount, and layers that another mount uses", async () => {
  const g = testLayers();
  await mountSluice({ lowers: [g.lower], upper: g.upper, work: g.work, mountpoint: g.mnt });
  await complains(["mount", "--lower", g.lower, g.mnt], 4, /mnt: it is already a Sluice mount \(EBUSY\): run 'sluice unmount /);
  mkdirSync(join(g.root, "mnt2"));
  await complains([...full(g), join(g.root, "mnt2")], 4, /upper: this upper layer is in use by another mount \(EBUSY\): /);
});

test("cleans up a stale mount by unmount, and by the next mount", async () => {
  const g = testLayers();
  const first = await mountSluice({ lowers: [g.lower], upper: g.upper, work: g.work, mountpoint: g.mnt });
  await first.kill();
  expect(await runSluice(["status", g.mnt])).toMatchObject({ code: 4, stderr: expect.stringContaining("its server has died") as string });
  const cleaned = await runSluice(["unmount", g.mnt]);
  expect(cleaned).toMatchObject({ code: 0, stdout: `cleaned up the stale mount ${g.mnt}\n`, stderr: "" });
  expect(mountsBelow(g.mnt)).toEqual([]);
  const second = await mountSluice({ lowers: [g.lower], upper: g.upper, work: g.work, mountpoint: g.mnt });
  await second.kill();
  const third = await mountSluice({ lowers: [g.lower], upper: g.upper, work: g.work, mountpoint: g.mnt });
  expect(third.log()).toContain("cleared away a stale mount");
  expect(mountsBelow(g.mnt).length).toBe(1);
});

test("clears away several stale mounts at one place with the next mount", async () => {
  const g = testLayers();
  const options = { lowers: [g.lower], upper: g.upper, work: g.work, mountpoint: g.mnt };
  const first = await mountSluice(options);
  await first.kill();
  // A second mount on top, as in a namespace that kept a copy of the first one.
  spawnSync("mount", ["--bind", g.mnt, g.mnt]);
  await mountSluice(options);
  expect(mountsBelow(g.mnt)).toHaveLength(1);
  expect((await runSluice(["status", g.mnt])).code).toBe(0);
});

test("allows a mount point inside a layer, and shows the layer without the mount", async () => {
  const g = testLayers();
  mkdirSync(join(g.lower, "view"));
  writeFileSync(join(g.lower, "file"), "content");
  const mount = await mountSluice({ lowers: [g.lower], upper: g.upper, work: g.work, mountpoint: join(g.lower, "view") });
  const listed = spawnSync("ls", ["-A", mount.mountpoint, join(mount.mountpoint, "view")], { encoding: "utf8", timeout: 60_000 });
  expect(listed.stdout).toBe(`${mount.mountpoint}:\nfile\nview\n\n${join(mount.mountpoint, "view")}:\n`);
});

test("refuses a layer beneath the mount point", async () => {
  const g = testLayers();
  const inner = join(g.mnt, "upper");
  mkdirSync(inner);
  await complains(
    ["mount", "--lower", g.lower, "--upper", inner, "--work", g.work, g.mnt],
    4,
    /this layer lies beneath the mount point .*\(EINVAL\): /,
  );
});

test("refuses a policy, certificate, log, socket or work directory beneath the mount point", async () => {
  const g = testLayers();
  const inside = join(g.mnt, "x");
  writeFileSync(join(g.root, "policy.yaml"), "version: 1\ndefault: grant\n");
  for (const [option, role] of [
    ["--policy", "policy file"],
    ["--log-file", "log file"],
    ["--control", "control socket"],
  ] as const) {
    await complains([...full(g), option, inside, g.mnt], 2, new RegExp(`the ${role} lies beneath the mount point .*\\(EINVAL\\)`));
  }
  const remote = [...full(g), "--decision", "localhost:1"];
  await complains([...remote, "--decision-ca", inside, g.mnt], 2, /the certificate lies beneath the mount point/);
  await complains(
    [...full(g), "--decision", `unix://${inside}`, g.mnt],
    2,
    /the socket of the decision service lies beneath the mount point/,
  );
  await complains([...full(g), g.mnt], 2, /the working directory lies beneath the mount point \(EBUSY\): cd /, { cwd: g.mnt });
});

requires("/dev/fuse", "CAP_SYS_ADMIN", "command unshare").test(
  "refuses a log file that is a directory, or that is not writable",
  async () => {
    const g = testLayers();
    const policy = join(g.root, "policy.yaml");
    writeFileSync(policy, "version: 1\ndefault: grant\n");
    chmodSync(policy, 0o644);
    const directory = /work: the log file cannot be written \(EISDIR\): name a file /;
    await complains([...full(g), "--log-file", g.work, g.mnt], 2, directory);
    await complains([...full(g), "--keeper", "on", "--log-file", g.work, g.mnt], 2, directory);
    await complains([...full(g), "--background", "--log-file", g.work, g.mnt], 2, directory);
    await complains(["decision", "--policy", policy, "--listen", `unix://${join(g.root, "s")}`, "--log-file", g.work], 2, directory);
    const pipe = join(g.root, "pipe");
    execFileSync("mkfifo", [pipe]);
    const unread = /pipe: the log file cannot be written \(ENXIO\): name a file /;
    await complains([...full(g), "--log-file", pipe, g.mnt], 2, unread);
    await complains([...full(g), "--policy", policy, "--decision-log", pipe, g.mnt], 2, unread);
    await complains(["decision", "--policy", policy, "--listen", `unix://${join(g.root, "s")}`, "--decision-log", pipe], 2, /pipe.*ENXIO/);
    const file = join(g.root, "log");
    writeFileSync(file, "");
    const front = ["unshare", "--mount", "sh", "-c", `mount --bind ${file} ${file} && mount -o remount,bind,ro ${file} && exec "$@"`, "sh"];
    expectComplaint(runChanged(front, [...full(g), "--log-file", file, g.mnt]), 2, /log: the log file cannot be written \(EROFS\): /);
  },
);

test("names file, line, column and remedy for a mistake in the policy", async () => {
  const g = testLayers();
  const policy = join(g.root, "policy.yaml");
  writeFileSync(policy, "version: 1\ndefault: grant\nrules:\n  - name: a\n    path: 'x'\n    effect: dney\n");
  chmodSync(policy, 0o644);
  await complains([...full(g), "--policy", policy, g.mnt], 2, /policy\.yaml:6:13: .*did you mean 'deny'/);
  writeFileSync(policy, "version: 1\ndefault: grnt\nrules:\n  - name: a\n    path: 'x'\n    effect: dney\n");
  const both = await runSluice([...full(g), "--policy", policy, g.mnt]);
  expect([...both.stderr.matchAll(/policy\.yaml:(\d+)/g)].map(([, line]) => line)).toEqual(["2", "6"]);
});

test("refuses a policy that does not exist, or is no file", async () => {
  const g = testLayers();
  const policy = join(g.root, "policy.yaml");
  await complains([...full(g), "--policy", policy, g.mnt], 2, /policy\.yaml: the policy file cannot be read \(ENOENT\): /);
  await runScript(["mkfifo", policy]);
  await complains([...full(g), "--policy", policy, g.mnt], 2, /policy\.yaml: it is no regular file, .* \(EINVAL\): put a/);
});

test("refuses an invalid decision target", async () => {
  const g = testLayers();
  await complains([...full(g), "--decision", "nowhere", g.mnt], 2, /--decision: 'nowhere' is not a target: /);
});

test("mounts with an unreachable decision target, and does as --on-outage says", async () => {
  const does = async (mode: string): Promise<string> => {
    const g = testLayers();
    writeFileSync(join(g.lower, "file"), "content");
    const args = ["--decision", `unix://${join(g.root, "nobody.sock")}`, "--on-outage", mode, "--decision-timeout", "200ms"];
    const mount = await mountSluice({ lowers: [g.lower], mountpoint: g.mnt, args });
    const { stdout, stderr } = await runScript(["cat", mount.path("file")], { env: { LC_ALL: "C" } });
    await expect.poll(() => mount.log()).toContain("the decision service cannot be reached");
    await mount.stop();
    return (stdout + stderr).replace(mount.path("file"), "FILE");
  };
  const again = "cat: FILE: Resource temporarily unavailable\n";
  // Each waits for the service for a few seconds.
  expect(await Promise.all(["deny", "mediate", "stale"].map(does))).toEqual([again, "content", again]);
});

requires("/dev/fuse", "CAP_SYS_ADMIN", "command unshare").test("names a missing /dev/fuse", () => {
  const g = testLayers();
  const front = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /dev && exec "$@"', "sh"];
  expectComplaint(runChanged(front, [...full(g), g.mnt]), 3, /\/dev\/fuse: the device is not there \(ENOENT\): .*modprobe fuse/);
});

requires("/dev/fuse", "CAP_SYS_ADMIN", "command setpriv").test("names a missing privilege", () => {
  const g = testLayers();
  const front = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"];
  expectComplaint(runChanged(front, [...full(g), g.mnt]), 3, /CAP_SYS_ADMIN: the process lacks this privilege \(EPERM\): run as root; /);
  // The whole run's scratch directory is root's alone.
  chmodSync(g.root, 0o755);
  const user = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"];
  expectComplaint(
    runChanged(user, [...full(g), g.mnt]),
    4,
    /upper layer: it cannot be written \(EACCES\): mount as a user who may write to it\n/,
  );
  expectComplaint(
    runChanged(user, ["mount", "--lower", g.lower, g.mnt]),
    3,
    /: run as root, or in 'unshare -Urm', where every open is mediated; /,
  );
});

test("names the help of the command whose command line is wrong", async () => {
  await complains(["help", "nosuch"], 2, /^sluice: command line: unknown command 'nosuch': see 'sluice --help'\n$/);
  await complains(["help", "policy", "nosuch"], 2, /^sluice: command line: unknown command 'nosuch': see 'sluice policy --help'\n$/);
  await complains(["policy", "help", "chek"], 2, /^sluice: command line: unknown command 'chek': see 'sluice policy --help'\n$/);
  await complains(["policy", "chek", "x"], 2, /: command line: unknown command 'chek' .*: see 'sluice policy --help'\n/);
  await complains(["run", "--net", "x", "--", "true"], 2, /'x' is invalid; allowed choices are host, none: see 'sluice run --help'\n/);
});

test("help has help, and shows that of a command of a command", async () => {
  for (const words of [
    ["help", "help"],
    ["help", "--help"],
  ]) {
    const { stdout, code } = await runSluice(words);
    expect({ stdout, code }).toEqual({ stdout: expect.stringMatching(/^Usage: sluice help \[command\.\.\.\]\n/), code: 0 });
  }
  expect((await runSluice(["help", "policy", "check"])).stdout).toMatch(/^Usage: sluice policy check /);
});

test("refuses a target with one slash too few, and names the form of a target once", async () => {
  const g = testLayers();
  await complains(
    [...full(g), "--decision", "unix://run/x", g.mnt],
    2,
    /--decision: 'unix:\/\/run\/x' is not a target: write unix:[^:]*HOST:PORT or dns:[^:]*:PORT\n/,
  );
});

test("upgrade says that nothing is mounted at a path", async () => {
  const g = testLayers();
  await complains(
    ["upgrade", g.mnt],
    4,
    /mnt: no mount, and no socket of a host service, is there \(ENOENT\): 'sluice status' lists all mounts/,
  );
});

test("refuses a control socket that another process listens on, or whose name is too long", async () => {
  const g = testLayers();
  const taken = join(g.root, "taken.sock");
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(taken, resolve));
  await complains(
    [...full(g), "--control", taken, "--log-level", "silent", g.mnt],
    4,
    /taken\.sock: another process listens on this control socket/,
  );
  server.close();
  const long = join(g.root, "x".repeat(120));
  await complains([...full(g), "--control", long, "--log-level", "silent", g.mnt], 2, /longer than 107 bytes \(ENAMETOOLONG\)/);
  expect(mountsBelow(g.mnt)).toEqual([]);
});

test("refuses unmount, status and grants on a path that is no Sluice mount, in the same words", async () => {
  const g = testLayers();
  for (const command of ["unmount", "status", "grants"]) {
    await complains([command, g.mnt], 4, /mnt: nothing is mounted there \(EINVAL\): 'findmnt -t fuse.sluice' lists/);
    await complains([command, scratch({ on: "tmpfs" })], 4, /it is a mount of type tmpfs, not a Sluice mount \(EINVAL\): 'findmnt/);
  }
});
