/**
 * The kernel caches the listing of a directory: the mount tells it of every change, and a reader in the middle loses no name.
 */
import { mkdirSync, opendirSync, readdirSync, renameSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { Actor, eventually, layers, mountSluice, mountsShareProcess, requires } from "@sluice/testkit";
import { expect } from "vitest";
import { requestsOf, WITH_METRICS } from "../../passthrough/harness/request-counts.js";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
/** Several times the size that readdir(3) asks for at once. */
const NAMES = 4000;

function named(prefix: string, count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`d/${prefix}${String(index).padStart(5, "0")}`, "x"]));
}

for (const [kind, tree] of [
  ["merged", { lower: named("low", NAMES / 2), upper: named("up", NAMES / 2) }],
  ["plain", { lower: named("low", NAMES) }],
] as const) {
  test(`a ${kind} directory: each change shows in the next listing, and a running listing continues`, async () => {
    const { lower, upper } = layers(tree);
    const mount = await mountSluice({ lowers: [lower], upper });
    const d = mount.path("d");
    const expected = new Set(readdirSync(d));
    expect(expected.size).toBe(NAMES);
    const reader = opendirSync(d, { bufferSize: 1 });
    const seen: string[] = [];
    const readOn = (count: number): void => {
      for (let entry = count > 0 ? reader.readSync() : null; entry !== null; entry = --count > 0 ? reader.readSync() : null)
        seen.push(entry.name);
    };
    readOn(NAMES / 2);
    // Removes some names that were read and some that were not. The next reader makes the kernel drop its cached listing.
    const unread = [...expected].filter((name) => !seen.includes(name));
    const gone = new Set([...seen.slice(0, 100), ...unread.slice(-100)]);
    for (const name of gone) unlinkSync(`${d}/${name}`);
    expect(new Set(readdirSync(d))).toEqual(new Set([...expected].filter((name) => !gone.has(name))));
    readOn(NAMES);
    reader.closeSync();
    expect(new Set(seen).size).toBe(seen.length);
    const stay = [...expected].filter((name) => !gone.has(name));
    expect(stay.filter((name) => !seen.includes(name))).toEqual([]);
    await mount.stop();
  });
}

test("creations, renames and removals show at once, and another listing sends no request", async () => {
  const { lower, upper } = layers({ lower: { "d/a": "a", "d/b": "b" }, upper: { "d/c": "c" } });
  const mount = await mountSluice({ lowers: [lower], upper, args: WITH_METRICS });
  const d = mount.path("d");
  const list = (): string => readdirSync(d).sort().join(" ");
  expect(list()).toBe("a b c");
  writeFileSync(`${d}/new`, "");
  expect(list()).toBe("a b c new");
  renameSync(`${d}/a`, `${d}/z`);
  expect(list()).toBe("b c new z");
  unlinkSync(`${d}/b`);
  mkdirSync(`${d}/sub`);
  expect(list()).toBe("c new sub z");
  rmSync(`${d}/sub`, { recursive: true });
  expect(list()).toBe("c new z");
  const asked = (): Promise<number> => requestsOf(mount, "READDIR", "READDIRPLUS");
  const before = await asked();
  expect(before).toBeGreaterThan(0);
  for (let i = 0; i < 5; i++) expect(list()).toBe("c new z");
  expect(await asked()).toBe(before);
  await mount.stop();
});

test("a moved directory lists its new parent", async () => {
  const { lower, upper } = layers({ lower: { "a/d/low": "x" }, upper: { "a/d/up": "x", "b/y": "x" } });
  const mount = await mountSluice({ lowers: [lower], upper });
  const actor = await Actor.start();
  const listed = (name: string): Promise<number> => actor.do("syscall", "parent-listed", mount.path(name));
  expect(await listed("a/d")).toBe(1);
  renameSync(mount.path("a/d"), mount.path("b/d"));
  await eventually("the kernel dropped its list", 30_000, async () => (await listed("b/d")) === 1);
  await actor.stop();
  await mount.stop();
});
