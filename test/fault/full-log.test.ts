// The disk of a log is full, or nobody reads its pipe: services go on, and log again when it has room.
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { native } from "@sluice/native";
import { file, plant, policyOf, requires, runScript, runSluice, scratch, startScript } from "@sluice/testkit";
import type { MountStatus } from "@sluice/mount-control";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const CLI = fileURLToPath(new URL("../../packages/cli/bin/sluice.cjs", import.meta.url));
const LIMIT_MS = 120_000;

/** A log on a disk that `rm` gives room. */
function fullLog(): { log: string; rm(): void } {
  const disk = scratch({ on: "tmpfs", sizeMb: 1 });
  const [log, filler] = [join(disk, "log"), join(disk, "filler")];
  writeFileSync(log, "");
  expect(() => writeFileSync(filler, Buffer.alloc(2 << 20))).toThrow("ENOSPC");
  return { log, rm: () => rmSync(filler) };
}

for (const keeper of ["off", "on"])
  test(
    `a mount with --keeper ${keeper} serves while the disk of its log is full, and logs again when it has room`,
    async () => {
      const { log, rm } = fullLog();
      const [lower, mountpoint] = [plant(scratch(), { a: file("a") }), scratch()];
      const options = ["--keeper", keeper, "--log-level", "debug", "--log-file", log];
      const mount = startScript([process.execPath, CLI, "mount", "--lower", lower, ...options, mountpoint], { timeoutMs: LIMIT_MS });
      await mount.waitFor("mounted ");
      expect((await runScript(["cat", join(mountpoint, "a")])).stdout).toBe("a");
      expect(readFileSync(log, "utf8")).toBe("");
      rm();
      expect(await runSluice(["unmount", mountpoint])).toMatchObject({ code: 0 });
      expect(await mount.finished).toMatchObject({ code: 0, stderr: "" });
      expect(readFileSync(log, "utf8")).toContain('"msg":"unmounted"');
    },
    LIMIT_MS,
  );

/** Standard error is a pipe that is read from $1 on, when a file of this name is there. */
const UNREAD = `mkfifo "$1/pipe" && exec 3<>"$1/pipe" || exit 9
(exec 4<"$1/pipe" 3<&-; while [ ! -e "$1/read" ]; do sleep 0.05; done; exec cat <&4 >"$1/log") &
at=$1; shift; exec "$@" 2>"$at/pipe" 3<&-`;

for (const keeper of ["off", "on"])
  test(
    `a mount with --keeper ${keeper} serves while nobody reads its standard error, and logs again when somebody does`,
    async () => {
      const [lower, mountpoint, at] = [plant(scratch(), { a: file("a") }), scratch(), scratch()];
      const policy = join(at, "policy.yaml");
      writeFileSync(policy, policyOf("grant", { name: "watched", path: "**", effect: "mediate", obligations: { audit: "each-io" } }));
      const words = [process.execPath, CLI, "mount", "--lower", lower, "--keeper", keeper, "--policy", policy, mountpoint];
      const mount = startScript(["sh", "-c", UNREAD, "sh", at, ...words], { timeoutMs: LIMIT_MS });
      await mount.waitFor("mounted ");
      const reads = `for (let at = 0; at < 3000; at++) require("node:fs").readFileSync(process.argv[1]);`;
      expect(await runScript([process.execPath, "-e", reads, join(mountpoint, "a")])).toMatchObject({ code: 0 });
      writeFileSync(join(at, "read"), "");
      // More than the pipe holds: the lines that waited follow with each new one.
      const length = async (): Promise<number> => {
        await runScript(["cat", join(mountpoint, "a")]);
        return existsSync(join(at, "log")) ? statSync(join(at, "log")).size : 0;
      };
      await expect.poll(length, { timeout: LIMIT_MS }).toBeGreaterThan(100_000);
      expect(await runSluice(["unmount", mountpoint])).toMatchObject({ code: 0 });
      expect(await mount.finished).toMatchObject({ code: 0 });
    },
    LIMIT_MS,
  );

/** A terminal that takes nothing, as after Ctrl-S. */
function stoppedTerminal(): { terminal: string; close(): void } {
  const ends = new Int32Array(2);
  expect(native.openPty(ends)).toBe(0);
  const terminal = readlinkSync(`/proc/self/fd/${ends[1]}`);
  const fd = openSync(terminal, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  expect(() => {
    for (;;) writeSync(fd, "x");
  }).toThrow("EAGAIN");
  const close = (): void => {
    for (const each of [...ends, fd]) closeSync(each);
  };
  return { terminal, close };
}

test(
  "a mount that cannot be made ends while its standard error is a terminal that is stopped",
  async () => {
    const { terminal, close } = stoppedTerminal();
    const words = [process.execPath, CLI, "mount", "--lower", join(scratch(), "none"), scratch()];
    const mount = startScript(["sh", "-c", 'at=$1; shift; exec "$@" 2>"$at"', "sh", terminal, ...words], { timeoutMs: LIMIT_MS });
    expect(await mount.finished).toMatchObject({ code: 4 });
    close();
  },
  LIMIT_MS,
);

test(
  "a keeper replaces servers that die while its standard error is a terminal that is stopped",
  async () => {
    const [lower, mountpoint] = [plant(scratch(), { a: file("a") }), scratch()];
    const { terminal, close } = stoppedTerminal();
    const words = [process.execPath, CLI, "mount", "--lower", lower, "--keeper", "on", mountpoint];
    const mount = startScript(["sh", "-c", 'at=$1; shift; exec "$@" 2>"$at"', "sh", terminal, ...words], { timeoutMs: LIMIT_MS });
    await mount.waitFor("mounted ");
    for (let deaths = 1; deaths <= 3; deaths++) {
      const { pid, keeper } = JSON.parse((await runSluice(["status", "--json", mountpoint])).stdout) as MountStatus;
      expect(keeper?.restarts).toBe(deaths - 1);
      process.kill(pid, "SIGKILL");
      expect((await runScript(["cat", join(mountpoint, "a")], { timeoutMs: LIMIT_MS })).stdout).toBe("a");
    }
    expect(await runSluice(["unmount", mountpoint])).toMatchObject({ code: 0 });
    expect(await mount.finished).toMatchObject({ code: 0 });
    close();
  },
  LIMIT_MS,
);

test(
  "a host service makes and ends mounts while the disk of its log is full, and logs again when it has room",
  async () => {
    const { log, rm } = fullLog();
    const [lower, mountpoint, socket] = [plant(scratch(), { a: file("a") }), scratch(), join(scratch(), "host.sock")];
    const host = startScript([process.execPath, CLI, "serve", "--socket", socket, "--log-file", log], { timeoutMs: LIMIT_MS });
    await host.waitFor("serves mounts");
    for (let round = 0; round < 2; round++) {
      const words = ["mount", "--host-service", socket, "--background", "--lower", lower, mountpoint];
      expect(await runSluice(words, { timeoutMs: LIMIT_MS })).toMatchObject({ code: 0, stderr: "" });
      expect((await runScript(["cat", join(mountpoint, "a")])).stdout).toBe("a");
      expect(await runSluice(["unmount", mountpoint])).toMatchObject({ code: 0 });
      if (round === 0) rm();
    }
    host.kill("SIGTERM");
    expect(await host.finished).toMatchObject({ code: 0, stderr: "" });
    expect(readFileSync(log, "utf8").match(/"msg":"unmounted"/g)).toHaveLength(2);
  },
  LIMIT_MS,
);

test(
  "a decision service starts and ends in order while the disk of its log is full",
  async () => {
    const { log } = fullLog();
    const policy = join(scratch(), "policy.yaml");
    writeFileSync(policy, "version: 1\ndefault: grant\n");
    const words = ["decision", "--policy", policy, "--listen", `unix://${join(scratch(), "d.sock")}`, "--log-file", log];
    const service = startScript([process.execPath, CLI, ...words], { timeoutMs: LIMIT_MS });
    await service.waitFor("deciding");
    service.kill("SIGTERM");
    expect(await service.finished).toMatchObject({ code: 0, stderr: "" });
  },
  LIMIT_MS,
);
