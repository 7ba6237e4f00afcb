/** A server that is stopped, or hangs, takes connections and answers nothing: each command that asks one says so and ends. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { file, mountSluice, plant, requires, runScript, runSluice, scratch, startScript } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const CLI = fileURLToPath(new URL("../../../packages/cli/bin/sluice.cjs", import.meta.url));
const LIMIT_MS = 120_000;

/** The functions of the kernel that the threads of a process wait in. */
const waitsOf = (pid: number): string[] =>
  readdirSync(`/proc/${pid}/task`).map((task) => readFileSync(`/proc/${pid}/task/${task}/wchan`, "latin1"));

test(
  "commands that ask a stopped server end, and name the mount",
  async () => {
    const mount = await mountSluice({ lowers: [plant(scratch(), { a: file("a") })], upper: scratch(), ownProcess: true });
    const at = mount.mountpoint;
    process.kill(mount.serverPid, "SIGSTOP");
    const commands = [
      ["status", at],
      ["top", "--once", at],
      ["grants", at],
      ["grants", "--watch", at],
      ["log", at],
      ["log", "--follow", at],
      ["asks", at],
      ["explain", mount.path("a")],
      ["diff", at],
      ["export", at, "--output", "/dev/null"],
      ["profile", "--live", at, "1s"],
      ["unmount", at],
      ["upgrade", at],
    ];
    try {
      const ends = await Promise.all(commands.map((words) => runSluice(words, { timeoutMs: LIMIT_MS })));
      for (const [index, { code, stdout, stderr }] of ends.entries())
        expect([commands[index], code, stdout, stderr]).toEqual([
          commands[index],
          1,
          "",
          expect.stringMatching(/^sluice: \S+: .*\(ETIMEDOUT\): see/),
        ]);
    } finally {
      process.kill(mount.serverPid, "SIGCONT");
    }
    await mount.stop();
  },
  LIMIT_MS,
);

test(
  "SIGINT ends 'sluice explain' while it waits for a stopped server",
  async () => {
    const mount = await mountSluice({ lowers: [plant(scratch(), { a: file("a") })], ownProcess: true });
    process.kill(mount.serverPid, "SIGSTOP");
    try {
      const explain = startScript([process.execPath, CLI, "explain", mount.path("a")], { timeoutMs: LIMIT_MS });
      await expect.poll(() => waitsOf(explain.pid).join(" "), { timeout: LIMIT_MS }).toContain("request_wait_answer");
      explain.kill("SIGINT");
      expect((await explain.finished).stdout).toBe("");
    } finally {
      process.kill(mount.serverPid, "SIGCONT");
    }
    await mount.stop();
  },
  LIMIT_MS,
);

test(
  "'sluice upgrade' says that a stopped keeper does not answer, and 'umount -l' takes a mount whose server is stopped away",
  async () => {
    const mount = await mountSluice({ lowers: [plant(scratch(), { a: file("a") })], args: ["--keeper", "on"] });
    process.kill(mount.pid, "SIGSTOP");
    const { code, stderr } = await runSluice(["upgrade", mount.mountpoint], { timeoutMs: LIMIT_MS });
    process.kill(mount.pid, "SIGCONT");
    expect([code, stderr]).toEqual([1, `sluice: ${mount.mountpoint}: the keeper does not answer (ETIMEDOUT): see whether it is stopped\n`]);
    process.kill(mount.serverPid, "SIGSTOP");
    expect(await runScript(["umount", "-l", mount.mountpoint])).toMatchObject({ code: 0, stderr: "" });
    process.kill(mount.serverPid, "SIGCONT");
    await mount.exited;
  },
  LIMIT_MS,
);

test(
  "'sluice unmount --force' gets rid of a mount whose server is stopped, and names the users that it cut off",
  async () => {
    const mount = await mountSluice({ lowers: [plant(scratch(), { a: file("a") })], ownProcess: true });
    const holder = startScript(["sh", "-c", 'exec 3<"$0"; echo holds; read line', mount.path("a")], { timeoutMs: LIMIT_MS });
    await holder.waitFor("holds");
    process.kill(mount.serverPid, "SIGSTOP");
    const ended = await runSluice(["unmount", "--force", mount.mountpoint], { timeoutMs: LIMIT_MS });
    const table = readFileSync("/proc/self/mounts", "latin1");
    process.kill(mount.serverPid, "SIGCONT");
    expect(ended).toMatchObject({ code: 0, stdout: `unmounted ${mount.mountpoint}\n` });
    expect(ended.stderr).toMatch(/its daemon does not answer .*; cut off: sh \(pid/);
    expect(table).not.toContain(` ${mount.mountpoint} `);
    holder.kill("SIGKILL");
    await mount.exited;
  },
  LIMIT_MS,
);
