/** The places of a mount's sockets in a directory where anybody may have been before us. */
import fs, { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, isAbsolute, join } from "node:path";
import { afterEach, beforeEach, expect, it, onTestFinished } from "vitest";
import {
  makeRunDirectory,
  mountInTurn,
  type RunDirectory,
  removeRunDirectories,
  runDirectories,
  trustedRunDirectories,
} from "./run-directory.js";

const MOUNTPOINT = "/nowhere/of-this-test";
const former = process.env["TMPDIR"];
let home: string;
/** The last of the places: below the temporary directory. */
let place: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "sluice-run-"));
  process.env["TMPDIR"] = home;
  place = runDirectories(MOUNTPOINT).at(-1) as string;
});
afterEach(() => {
  if (former === undefined) delete process.env["TMPDIR"];
  else process.env["TMPDIR"] = former;
  rmSync(home, { recursive: true });
});

function plant(directory: string): string {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const file = join(directory, "file");
  writeFileSync(file, "");
  return file;
}

it("removes what a dead daemon left", () => {
  plant(place);
  removeRunDirectories(MOUNTPOINT);
  expect(existsSync(place)).toBe(false);
});

it("takes a relative XDG_RUNTIME_DIR for missing", () => {
  const given = process.env["XDG_RUNTIME_DIR"];
  onTestFinished(() => void (given === undefined ? delete process.env["XDG_RUNTIME_DIR"] : (process.env["XDG_RUNTIME_DIR"] = given)));
  process.env["XDG_RUNTIME_DIR"] = "run";
  expect(runDirectories(MOUNTPOINT).filter((path) => !isAbsolute(path))).toEqual([]);
});

it("is not led to other people's files by a link in the directory's place", () => {
  const file = plant(join(home, "victim"));
  mkdirSync(dirname(place), { mode: 0o700 });
  symlinkSync(dirname(file), place);
  removeRunDirectories(MOUNTPOINT);
  expect(existsSync(file)).toBe(true);
});

it("is not led there by a link above it, or by a directory that others may change", () => {
  const file = plant(join(home, "victim", basename(place)));
  symlinkSync(join(home, "victim"), dirname(place));
  removeRunDirectories(MOUNTPOINT);
  expect(existsSync(file)).toBe(true);
  rmSync(dirname(place));
  const other = plant(place);
  chmodSync(dirname(place), 0o777);
  removeRunDirectories(MOUNTPOINT);
  expect(existsSync(other)).toBe(true);
});

it("looks for sockets in no directory that others may change or lead elsewhere", () => {
  plant(place);
  expect(trustedRunDirectories(MOUNTPOINT)).toContain(place);
  chmodSync(dirname(place), 0o777);
  expect(trustedRunDirectories(MOUNTPOINT)).not.toContain(place);
  rmSync(dirname(place), { recursive: true });
  plant(join(home, "victim", basename(place)));
  symlinkSync(join(home, "victim"), dirname(place));
  expect(trustedRunDirectories(MOUNTPOINT)).not.toContain(place);
});

/** Calls `act` once, before a directory is removed. */
function beforeNextRemoval(act: () => void): void {
  const { rmdirSync } = fs;
  const restore = (): void => {
    fs.rmdirSync = rmdirSync;
    syncBuiltinESMExports();
  };
  onTestFinished(restore);
  fs.rmdirSync = (path) => {
    restore();
    act();
    rmdirSync(path);
  };
  syncBuiltinESMExports();
}

it("takes no directory of a mount that begins a moment later for that of the mount before", () => {
  const later: RunDirectory[] = [];
  const dead = makeRunDirectory(MOUNTPOINT);
  onTestFinished(() => {
    for (const made of [dead, ...later]) made.remove();
  });
  beforeNextRemoval(() => later.push(makeRunDirectory(MOUNTPOINT)));
  const earlier = makeRunDirectory(MOUNTPOINT);
  expect(later.map((made) => mountInTurn(made, MOUNTPOINT, () => "mounted"))).toEqual(["mounted"]);
  expect(() => mountInTurn(earlier, MOUNTPOINT, () => "mounted, too")).toThrow("EBUSY");
  earlier.remove();
  expect(later.map(({ path }) => existsSync(path))).toEqual([true]);
});
