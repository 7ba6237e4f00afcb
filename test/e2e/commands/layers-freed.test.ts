/**
 * When an unmount returns, nothing of the mount holds the layers' file systems: their device can be opened exclusively at once.
 */
import { execFileSync, spawn } from "node:child_process";
import { closeSync, constants, mkdirSync, openSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { bytes, cleanUp, mountsBelow, mountSluice, plant, policyOf, requires, runScript, scratch, type SluiceMount } from "@sluice/testkit";
import { expect } from "vitest";

const NEEDS = ["/dev/fuse", "CAP_SYS_ADMIN", "loop devices", "command losetup", "command mkfs.ext4"] as const;
const { test } = requires(...NEEDS);
const traced = requires(...NEEDS, "command strace");
const HELPER = fileURLToPath(new URL("../../../packages/overlayfs-cli/bin/umount.fuse.sluice.cjs", import.meta.url));
const IMAGE_BYTES = 64 << 20;
/** O_EXCL for a block device is not in node:fs: it means exclusive use, also against mounted file systems. */
const O_EXCL = constants.O_EXCL;

interface Base {
  device: string;
  path: string;
}

/** A file system of its own, on a loop device that outlives its unmount. */
function makeBase(): Base {
  const directory = scratch();
  const [image, path] = [join(directory, "image"), join(directory, "base")];
  writeFileSync(image, "");
  truncateSync(image, IMAGE_BYTES);
  execFileSync("mkfs.ext4", ["-q", "-F", image]);
  mkdirSync(path);
  const device = execFileSync("losetup", ["-f", "--show", image], { encoding: "utf8" }).trim();
  cleanUp(() => void execFileSync("losetup", ["-d", device]));
  execFileSync("mount", [device, path]);
  cleanUp(() => {
    if (mountsBelow(bytes(path)).length > 0) execFileSync("umount", [path]);
  });
  return { device, path };
}

interface Used {
  args: readonly string[];
  /** The mount has a decision service of its own, which ends with it. */
  decides: boolean;
}

/** A mount of these layers, used: files are granted and mediated, copied up, and closed again. */
async function used({ path }: Base, { args, decides }: Used): Promise<SluiceMount> {
  for (const name of ["lower", "upper"]) mkdirSync(join(path, name));
  plant(join(path, "lower"), { "d/passed": "passed", "d/metered": "metered", "d/changed": "changed" });
  const policy = policyOf("grant", { name: "slow", path: "d/metered", effect: "mediate" });
  const mount = await mountSluice({
    lowers: [join(path, "lower")],
    upper: join(path, "upper"),
    ...(decides ? { policy } : { sharedPolicy: policy }),
    args,
  });
  const work = "cat d/passed d/metered; echo more >> d/changed; mkdir new; echo made > new/file; ls -R > /dev/null; stat new d/*";
  await runScript(["sh", "-c", `cd "$0" && ${work}`, mount.mountpoint]);
  return mount;
}

/** A mount namespace that another program made meanwhile has a copy of the mount. */
function isMountedElsewhere({ device }: Base): boolean {
  return readdirSync("/proc").some((pid) => {
    try {
      return readFileSync(`/proc/${pid}/mountinfo`, "latin1").includes(` ${device} `);
    } catch {
      return false;
    }
  });
}

const UNMOUNTS: Readonly<Record<string, (mount: SluiceMount) => Promise<{ code: number | null; stderr: string }>>> = {
  "sluice unmount": (mount) => mount.cli("unmount"),
  "sluice unmount --force": async (mount) => {
    const user = openSync(mount.path("d/metered"), "r");
    const { code } = await mount.cli("unmount", "--force");
    expect(() => closeSync(user)).toThrow("ENOTCONN");
    return { code, stderr: "" };
  },
  "umount.fuse.sluice": (mount) => runScript([HELPER, mount.mountpoint]),
};

for (const args of [[], ["--keeper", "on"], ["-o", "volatile"]]) {
  for (const [name, unmount] of Object.entries(UNMOUNTS)) {
    test(`${name} of a mount${["", ...args].join(" ")} leaves nothing that holds the layers`, async () => {
      const base = makeBase();
      const mount = await used(base, { args, decides: name === "sluice unmount" });
      expect(await unmount(mount)).toMatchObject({ code: 0, stderr: "" });
      // No wait between these steps: the server may still be ending.
      execFileSync("umount", [base.path]);
      while (isMountedElsewhere(base)) await sleep(100);
      closeSync(openSync(base.device, constants.O_RDWR | O_EXCL));
      expect(await mount.exited).toEqual({ code: 0, signal: null });
      execFileSync("mount", [base.device, base.path]);
      expect(readFileSync(join(base.path, "upper/new/file"), "utf8")).toBe("made\n");
    });
  }
}

/** The server's descriptors of files below that directory. */
function descriptorsOf(pid: number, { path }: Base): number[] {
  const { dev } = statSync(path);
  const isThere = (fd: string): boolean => statSync(`/proc/${pid}/fd/${fd}`, { throwIfNoEntry: false })?.dev === dev;
  return readdirSync(`/proc/${pid}/fd`).filter(isThere).map(Number);
}

interface LastTurn {
  /** The server's descriptors of files of the base, as the mount ended. */
  held: number[];
  /** Its system calls from the first one that reports the end of the connection to its next wait for events. */
  calls: string[];
}

async function lastTurn(mount: SluiceMount, base: Base): Promise<LastTurn> {
  const trace = join(scratch(), "trace");
  const pid = mount.serverPid;
  const strace = spawn("strace", ["-p", String(pid), "-o", trace], { stdio: ["ignore", "ignore", "pipe"] });
  await new Promise((resolve) => strace.stderr.once("data", resolve));
  const open = descriptorsOf(pid, base);
  await runScript(["umount", "-i", mount.mountpoint]);
  await new Promise((resolve) => strace.once("exit", resolve));
  const all = readFileSync(trace, "utf8").split("\n");
  const from = all.findIndex((call) => call.startsWith("read(") && call.includes("= -1 ENODEV"));
  const turn = all.slice(from);
  const calls = turn.slice(
    0,
    turn.findIndex((call) => /^epoll_p?wait/.test(call)),
  );
  // A file that was closed just before may be released only now.
  return { held: open.filter((fd) => !isClosed(fd, all.slice(0, from))), calls };
}

function isClosed(fd: number, calls: readonly string[]): boolean {
  return calls.some((call) => call.startsWith(`close(${fd})`));
}

/** Descriptors that stay open beyond the first call with this beginning; beyond the end of the turn if no call has it. */
function stillOpen({ held, calls }: LastTurn, call: string): number[] {
  const at = calls.findIndex((each) => each.startsWith(call));
  return held.filter((fd) => !isClosed(fd, at < 0 ? calls : calls.slice(0, at)));
}

for (const args of [[], ["--keeper", "on"], ["-o", "volatile"]]) {
  traced.test(`after a plain umount(2), a mount${["", ...args].join(" ")} releases the layers before anything else`, async () => {
    const base = makeBase();
    // Idle polling writes its end to a device of its own.
    const mount = await used(base, { args: [...args, "--idle-polling", "off"], decides: true });
    const turn = await lastTurn(mount, base);
    expect(turn.held.length).toBeGreaterThan(0);
    // The server's log. Writes to other descriptors may be libuv's, which wakes its threads.
    expect(stillOpen(turn, "write(2,")).toEqual([]);
    expect(await mount.exited).toEqual({ code: 0, signal: null });
  });
}

traced.test("lower layers are free before the server writes to the upper one", async () => {
  const base = makeBase();
  plant(base.path, { f: "lower" });
  const mount = await mountSluice({ lowers: [base.path], upper: scratch() });
  await runScript(["cat", mount.path("f")]);
  const turn = await lastTurn(mount, base);
  expect(turn.held.length).toBeGreaterThan(0);
  expect(turn.calls.join("\n")).toContain("pwrite64(");
  expect(stillOpen(turn, "pwrite64(")).toEqual([]);
});
