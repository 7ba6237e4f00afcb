/** A server that takes over gives every object the number that it had: by name, by an open descriptor, and in listings. */
import {
  appendFileSync,
  chmodSync,
  closeSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { eventually, hardLink, plant, requires, scratch, startScript, symlink } from "@sluice/testkit";
import { expect } from "vitest";
import { mountSupervised, type SupervisedMount } from "./supervised-mount.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command python3");

const LOWER = {
  plain: "plain",
  "linked-a": "linked",
  "linked-b": hardLink("linked-a"),
  link: symlink("plain"),
  copied: "copied",
  "copied-open": "copied while open",
  "copied-later": "copied by the next server",
  moved: "moved",
  "merged/below": "below",
  "deep/er/file": "deep",
};
const UPPER = { "merged/above": "above", own: "own", "own-a": "own, linked", "own-b": hardLink("own-a") };

/** Prints the number in the listing for each path that it reads. */
const LISTED = `
import os, sys
for line in sys.stdin:
    if line == "\\n": break
    path = line.rstrip("\\n")
    print(next(str(e.inode()) for e in os.scandir(os.path.dirname(path)) if e.name == os.path.basename(path)), flush=True)
`;

async function listedNumbers(paths: readonly string[]): Promise<string[]> {
  const script = startScript(["python3", "-c", LISTED], { timeoutMs: 60_000 });
  script.write(`${paths.join("\n")}\n\n`);
  return (await script.finished).stdout.trim().split("\n");
}

function pathsBelow(mountpoint: string): string[] {
  const names = readdirSync(mountpoint, { recursive: true, encoding: "utf8" }).sort();
  return names.map((name) => join(mountpoint, name));
}

const numberOf = (path: string): string => String(lstatSync(path, { bigint: true }).ino);
const numbersOf = (paths: readonly string[]): Record<string, string> => Object.fromEntries(paths.map((path) => [path, numberOf(path)]));

async function takeOver(supervised: SupervisedMount): Promise<void> {
  const { served } = supervised;
  expect(supervised.killServer()).toBe(true);
  await eventually("another server serves", 60_000, () => supervised.served > served);
}

function changeSome(at: (name: string) => string): void {
  appendFileSync(at("copied"), "!");
  appendFileSync(at("copied-open"), "!");
  chmodSync(at("linked-a"), 0o600);
  renameSync(at("moved"), at("moved-to"));
  writeFileSync(at("made"), "made");
  mkdirSync(at("made-directory"));
}

for (const on of ["disk", "tmpfs"] as const) {
  test(`objects keep their inode numbers across a take-over, with the lower layer on ${on}`, async () => {
    const lower = plant(scratch({ on }), LOWER);
    const upper = plant(join(scratch(), "upper"), UPPER);
    const supervised = await mountSupervised({ lower, upper });
    const at = (name: string): string => supervised.mount.path(name);
    const open = openSync(at("copied-open"), "r");
    changeSome(at);
    const paths = pathsBelow(supervised.mountpoint);
    const before = numbersOf(paths);
    const opened = String(fstatSync(open, { bigint: true }).ino);

    await takeOver(supervised);
    expect(numbersOf(paths)).toEqual(before);
    appendFileSync(at("copied-later"), "!");
    expect(numbersOf(paths)).toEqual(before);

    await takeOver(supervised);
    writeFileSync("/proc/sys/vm/drop_caches", "2");
    expect(await listedNumbers(paths)).toEqual(Object.values(before));
    expect(numbersOf(paths)).toEqual(before);
    expect(String(fstatSync(open, { bigint: true }).ino)).toBe(opened);
    expect(opened).toBe(before[at("copied-open")]);
    closeSync(open);
    expect((await supervised.mount.stop()).code).toBe(0);
  }, 120_000);
}
