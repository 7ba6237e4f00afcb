/** What the server may do, thread by thread, is what the table says, and what it needs is still there. */
import { readdirSync, readFileSync } from "node:fs";
import { CAP } from "@sluice/native";
import { file, mountSluice, plant, requires, runScript, scratch } from "@sluice/testkit";
import { expect, test as plainTest } from "vitest";
import { KEPT_CAPABILITIES, keptMask } from "../../services/mount/dist/lifecycle/least-privilege.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const SETS = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] as const;

function setsOf(status: string): bigint[] {
  return SETS.map((set) => BigInt(`0x${new RegExp(`^${set}:\\s+([0-9a-f]+)$`, "m").exec(status)?.[1] ?? "f"}`));
}

test("no thread of the server holds, or can get, a capability beyond the table", async () => {
  const mount = await mountSluice({ lowers: [plant(scratch(), { f: file("lower") })], upper: plant(scratch(), {}) });
  // The pool's threads, too: they are made when they are first needed.
  await runScript(["sh", "-c", "cp f g; echo x >> f; sync -f ."], { cwd: mount.mountpoint });
  const tasks = readdirSync(`/proc/${mount.pid}/task`);
  expect(tasks.length).toBeGreaterThan(4);
  for (const task of tasks) {
    const status = readFileSync(`/proc/${mount.pid}/task/${task}/status`, "utf8");
    for (const held of setsOf(status)) expect(held & ~keptMask).toBe(0n);
    expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
  }
  expect(Object.keys(KEPT_CAPABILITIES)).not.toContain("NET_ADMIN");
  await mount.stop();
});

plainTest("docs/security.md has the table", () => {
  const page = readFileSync(new URL("../../docs/security.md", import.meta.url), "utf8");
  const rows = page.split("\n").filter((line) => line.startsWith("| CAP_"));
  expect(rows).toEqual(Object.entries(KEPT_CAPABILITIES).map(([name, why]) => `| CAP_${name} | ${why} |`));
  for (const name of Object.keys(KEPT_CAPABILITIES)) expect(CAP).toHaveProperty(name);
});
