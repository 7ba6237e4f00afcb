// SIGUSR1 makes Node open a debugger on the loopback device, by which every user of the machine could run code in the process.
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { descendantsOf, file, plant, requires, runScript, scratch, startScript } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const CLI = fileURLToPath(new URL("../../../packages/cli/bin/sluice.cjs", import.meta.url));
const LIMIT_MS = 120_000;
const LISTENS = "0A";
/** A debugger is there within milliseconds. */
const SOON_MS = 1_000;

/** The inodes of all TCP sockets of the machine that listen. */
function listening(): Set<string> {
  const rows = ["tcp", "tcp6"].flatMap((name) => readFileSync(`/proc/net/${name}`, "latin1").trim().split("\n").slice(1));
  const fields = rows.map((row) => row.trim().split(/\s+/));
  return new Set(fields.filter(([, , , state]) => state === LISTENS).map((row) => row[9] ?? ""));
}

function listens(pid: number): boolean {
  const open = listening();
  const targets = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
  return targets.some((target) => open.has(/^socket:\[(\d+)\]$/.exec(target)?.[1] ?? "none"));
}

const policyIn = (directory: string): string => {
  const policy = join(directory, "policy.yaml");
  writeFileSync(policy, "version: 1\ndefault: grant\n");
  return policy;
};

const COMMANDS: Readonly<Record<string, { words: readonly string[]; ready: string }>> = {
  "a mount": { words: ["mount"], ready: "mounted " },
  "a mount with a keeper": { words: ["mount", "--keeper", "on"], ready: "mounted " },
  "a host service": { words: ["serve"], ready: "serves mounts" },
  "a host service with a keeper": { words: ["serve", "--keeper", "on"], ready: "serves mounts" },
  "a decision service": { words: ["decision"], ready: "deciding" },
};

for (const [name, { words, ready }] of Object.entries(COMMANDS))
  test(
    `no process of ${name} opens a debugger for SIGUSR1, and it goes on`,
    async () => {
      const [at, mountpoint] = [scratch(), scratch()];
      const lower = plant(scratch(), { a: file("a") });
      const options: Readonly<Record<string, readonly string[]>> = {
        mount: ["--policy", policyIn(at), "--lower", lower, mountpoint],
        serve: ["--socket", join(at, "host.sock")],
        decision: ["--policy", policyIn(at), "--listen", `unix://${at}/d.sock`],
      };
      const service = startScript([process.execPath, CLI, ...words, ...(options[words[0] as string] ?? [])], { timeoutMs: LIMIT_MS });
      await service.waitFor(ready);
      const pids = [service.pid, ...descendantsOf(service.pid).map(({ pid }) => pid)];
      for (const pid of pids) process.kill(pid, "SIGUSR1");
      await sleep(SOON_MS);
      expect(pids.filter(listens)).toEqual([]);
      if (words[0] === "mount") expect((await runScript(["cat", join(mountpoint, "a")])).stdout).toBe("a");
      service.kill("SIGTERM");
      expect(await service.finished).toMatchObject({ code: 0 });
    },
    LIMIT_MS,
  );
