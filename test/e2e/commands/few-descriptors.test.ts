// A start of a mount that fails for want of descriptors leaves no mount, at whichever step they run out.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Actor, cleanUp, mountSluice, requires, runScript, runSluice, type ScriptResult, scratch } from "@sluice/testkit";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";

const { test } = requires("CAP_SYS_ADMIN", "/dev/fuse", "command unshare", "command bash");

const SCRIPT = `
  import fs from "node:fs";
  const { native } = await import(process.env.SLUICE_NATIVE_URL);
  const { connectHere, mountForCaller, openDevice, openMountpoint } = await import("@sluice/keeper-link");
  const mountpoint = process.argv[1];
  const plan = { mountpoint, source: "few", subtype: "sluice", flags: 0, allowOther: true, caller: { uid: 0, gid: 0 } };
  const mounts = () => fs.readFileSync("/proc/self/mountinfo", "utf8").split("\\n").filter((line) => line.includes(mountpoint)).length;
  native.setNofileLimit(128);
  function withSpare(spare, use) {
    const held = [];
    const error = () => { try { for (;;) held.push(fs.openSync("/dev/null")); } catch (error) { return error.code; } };
    if (error() !== "EMFILE") throw new Error("not full");
    for (let left = spare; left > 0; left--) fs.closeSync(held.pop());
    try { return use(); } catch (error) { return error.code ?? error.message; } finally { for (const fd of held) fs.closeSync(fd); }
  }
  const MADE = "made";
  const seen = {};
  for (const how of ["own", "caller"]) {
    seen[how] = { failed: 0, left: [], made: 0 };
    for (let spare = 0; spare < 10; spare++) {
      const [fuseFd, at] = how === "own" ? [-1, -1] : [openDevice(), openMountpoint(mountpoint)];
      let unmounting;
      const outcome = withSpare(spare, () => {
        if (how === "caller") mountForCaller(fuseFd, plan, at);
        else {
          const connection = connectHere(plan);
          unmounting = () => withSpare(0, () => connection.unmount(false));
        }
        return MADE;
      });
      if (outcome !== MADE) { seen[how].failed++; if (mounts() > 0) seen[how].left.push(spare + " " + outcome); }
      else { seen[how].made++; if (unmounting !== undefined && (await unmounting()) !== 0) seen[how].left.push("after an unmount"); }
      for (const fd of [fuseFd, at]) if (fd >= 0) fs.closeSync(fd);
      while (mounts() > 0) native.umount2(mountpoint, 2);
    }
  }
  console.log(JSON.stringify(seen));
`;

test("a mount that cannot be made for want of descriptors is not left behind, and one is unmounted without any", async () => {
  const run = ["unshare", "--mount", "--propagation", "private", process.execPath, "--input-type=module", "-e", SCRIPT, scratch()];
  const { stdout, stderr } = await runScript(run);
  expect(stderr).toBe("");
  const { own, caller } = JSON.parse(stdout);
  expect([own.left, caller.left]).toEqual([[], []]);
  for (const { failed, made } of [own, caller]) expect(Math.min(failed, made)).toBeGreaterThan(1);
});

/** A mount with a keeper whose process may open `limit` files, and inherits a descriptor of the number 90. */
async function mountWithKeeper(limit: number): Promise<{ mountpoint: string; result: ScriptResult }> {
  const place = scratch();
  const [lower, upper, work, mountpoint] = ["lower", "upper", "work", "mountpoint"].map((name) => join(place, name)) as [
    string,
    string,
    string,
    string,
  ];
  for (const directory of [lower, upper, work, mountpoint]) mkdirSync(directory);
  const layers = ["--lower", lower, "--upper", upper, "--work", work];
  const mount = ["mount", "--keeper", "on", "--background", "--log-file", join(place, "log"), ...layers, mountpoint];
  const limited = ["bash", "-c", 'exec 90</dev/null; ulimit -n "$1"; exec "${@:2}"', "bash", String(limit)];
  return { mountpoint, result: await runScript([...limited, process.execPath, "packages/cli/bin/sluice.cjs", ...mount]) };
}

test("a keeper that cannot start for want of descriptors says so", async () => {
  const { result } = await mountWithKeeper(30);
  expect(result).toMatchObject({ code: 1, stderr: expect.stringMatching(/ \(EMFILE\): allow more open files \(ulimit -n\)\n$/) });
});

test("a keeper starts though an inherited descriptor has a number near the limit", async () => {
  const { mountpoint, result } = await mountWithKeeper(100);
  expect(result).toMatchObject({ code: 0, stderr: "" });
  expect(await runSluice(["unmount", mountpoint])).toMatchObject({ code: 0 });
});

const limited = requires("CAP_SYS_ADMIN", "/dev/fuse", "FUSE passthrough", "command prlimit", "command strace");
const LARGE = [1, 2, 3].map((name) => `large${name}`);
const MANY = Array.from({ length: 200 }, (_, name) => `small${name}`);

limited.test(
  "an open takes the descriptor of a file that nobody has open any more, though the disk takes its time to close it",
  async () => {
    const [lower, upper] = [scratch(), scratch()];
    for (const name of LARGE) writeFileSync(join(upper, name), Buffer.alloc(8 << 20, 7));
    for (const name of MANY) writeFileSync(join(lower, name), name);
    const mount = await mountSluice({ lowers: [lower], upper });
    const pid = mount.serverPid;
    const highest = (): number => Math.max(...readdirSync(`/proc/${pid}/fd`).map(Number));
    const actor = await Actor.start();
    const open = async (name: string): Promise<unknown> => actor.do("open", mount.path(name), O.RDONLY);
    for (const name of LARGE) await actor.do("close", await open(name));
    const cached = highest();
    const rest = [...MANY];
    // Until no number below is free.
    while (highest() === cached) expect(await open(rest.pop() as string)).toBeGreaterThan(0);
    execFileSync("prlimit", ["--pid", String(pid), `--nofile=${highest() + 1}`]);
    const slow = ["-e", "trace=close", "-e", "inject=close:delay_enter=200000"];
    const strace = spawn("strace", ["-f", "-p", String(pid), ...slow], { stdio: ["ignore", "ignore", "pipe"] });
    cleanUp(() => void strace.kill("SIGKILL"));
    await once(strace.stderr, "data");
    for (const name of LARGE) expect([name, await open(rest.pop() as string)]).toEqual([name, expect.toSatisfy((fd) => fd > 0)]);
    expect(await open(rest.pop() as string)).toBe(-Errno.EMFILE);
    strace.kill("SIGINT");
    await once(strace, "exit");
    await actor.stop();
    expect(await mount.stop()).toMatchObject({ code: 0 });
  },
);
