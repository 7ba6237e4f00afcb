/** Directories of very many entries: listed whole, while everybody else is served. */
import { closeSync, mkdirSync, openSync } from "node:fs";
import { opendir, readdir, rmdir, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { mountSluice, requires, scratch } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const MANY = 40_000;

function fill(directory: string, prefix: string, count: number): void {
  mkdirSync(directory, { recursive: true });
  for (let i = 0; i < count; i++) closeSync(openSync(join(directory, `${prefix}${i}`), "w"));
}

/** How many other requests were answered while `work` ran. */
async function answeredDuring(path: string, work: Promise<unknown>): Promise<number> {
  let going = true;
  const done = work.finally(() => {
    going = false;
  });
  let answered = 0;
  // Names that nobody asked for before: the kernel cannot answer for us.
  for (; going; answered++) await stat(`${path}/missing${answered}`).catch(() => undefined);
  await done;
  return answered;
}

test("a large merged and a large plain directory are listed while others are served", async () => {
  const root = scratch();
  const [lower, upper] = [join(root, "lower"), join(root, "upper")] as [string, string];
  fill(join(lower, "merged"), "low", MANY);
  fill(join(lower, "plain"), "low", MANY);
  fill(join(upper, "merged"), "up", 10);
  const mount = await mountSluice({ lowers: [lower], upper });
  for (const [name, count] of [
    ["merged", MANY + 10],
    ["plain", MANY],
  ] as const) {
    const listing = readdir(mount.path(name));
    expect(await answeredDuring(mount.mountpoint, listing)).toBeGreaterThan(20);
    expect(new Set(await listing).size).toBe(count);
  }
  // Not empty: known from the first name on, whatever comes after.
  await expect(rmdir(mount.path("plain"))).rejects.toThrow("ENOTEMPTY");
  await mount.stop();
});

test("a directory kept open after it was read costs no descriptor, and removing what is listed empties it", async () => {
  const lower = join(scratch(), "lower");
  fill(join(lower, "d"), "n", 3000);
  const upper = scratch();
  const mount = await mountSluice({ lowers: [lower], upper });
  const directory = await opendir(mount.path("d"), { bufferSize: 64 });
  let removed = 0;
  for (let entry = await directory.read(); entry !== null; entry = await directory.read(), removed++)
    await unlink(mount.path("d", entry.name));
  expect(removed).toBe(3000);
  const open = mount.descriptors();
  await directory.close();
  await stat(mount.path("d"));
  expect(open.length).toBe(mount.descriptors().length);
  await rmdir(mount.path("d"));
  await mount.stop();
});
