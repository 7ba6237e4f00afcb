/** SIGKILL in the middle of copy-ups: no lower layer changes, and the upper layer mounts again with complete files only. */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mountSluice, requires, runSluice, scratch, startScript, treeHash } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const FILES = 120;
const FILE_BYTES = 2 << 20;
const ROUNDS = 3;

const APPENDER = `
import { appendFileSync, readdirSync } from "node:fs";
console.log("appending");
for (const name of readdirSync(process.argv[1])) { try { appendFileSync(process.argv[1] + "/" + name, "+"); } catch { break; } }
`;

const sha = (data: Uint8Array): string => createHash("sha256").update(data).digest("hex");

test("survives SIGKILL in the middle of copy-ups", async () => {
  const root = scratch();
  const [lower, upper, mountpoint] = ["lower", "upper", "mnt"].map((name) => join(root, name)) as [string, string, string];
  for (const path of [lower, upper, mountpoint]) mkdirSync(path);
  const hashes = new Map<string, string>();
  for (let file = 0; file < FILES; file++) {
    const data = Buffer.alloc(FILE_BYTES, `content of ${file} `);
    writeFileSync(join(lower, `f${file}`), data);
    hashes.set(`f${file}`, sha(data));
  }
  const before = treeHash(lower);
  for (let round = 0; round < ROUNDS; round++) {
    const mount = await mountSluice({ lowers: [lower], upper, mountpoint });
    const appender = startScript(APPENDER, { args: [mountpoint] });
    await appender.waitFor("appending");
    // The kill must not come after the end of all work: every round has copy-ups left.
    await expect.poll(() => readdirSync(upper).length, { interval: 1, timeout: 30_000 }).toBeGreaterThan(10 * round);
    await mount.kill();
    expect(readdirSync(upper).length).toBeLessThan(FILES);
    await appender.finished;
    expect(await runSluice(["unmount", mountpoint])).toMatchObject({ code: 0 });
    expect(treeHash(lower)).toBe(before);
  }
  const mount = await mountSluice({ lowers: [lower], upper, mountpoint });
  const names = readdirSync(mountpoint);
  expect(names.toSorted()).toEqual([...hashes.keys()].toSorted());
  for (const name of names) {
    const data = readFileSync(join(mountpoint, name));
    expect(sha(data.subarray(0, FILE_BYTES))).toBe(hashes.get(name));
    expect(data.subarray(FILE_BYTES).toString()).toMatch(/^\+*$/);
  }
  await mount.stop();
  expect(treeHash(lower)).toBe(before);
});
