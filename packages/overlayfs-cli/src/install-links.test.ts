import { lstatSync, mkdirSync, readdirSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { scratch } from "@sluice/testkit";
import { expect, test } from "vitest";
import { installLinks } from "./install-links.js";

const LINKS = ["sbin/mount.fuse.sluice", "sbin/umount.fuse.sluice", "usr/local/bin/sluice-overlayfs", "usr/local/bin/sluice"];

test("links replace those of another checkout, and nothing else is left beside them", () => {
  const at = scratch();
  const old = join(at, "usr/local/bin/sluice");
  mkdirSync(dirname(old), { recursive: true });
  symlinkSync("/opt/sluice-0.0.1/bin/sluice", old);
  expect(installLinks(at)).toHaveLength(LINKS.length);
  expect(LINKS.map((name) => readlinkSync(join(at, name)).includes("sluice-0.0.1"))).toEqual([false, false, false, false]);
  expect([readdirSync(join(at, "sbin")), readdirSync(join(at, "usr/local/bin"))].flat()).toHaveLength(LINKS.length);
});

test("a file where the last link belongs keeps all links from being made", () => {
  const at = scratch();
  const mine = join(at, "usr/local/bin/sluice");
  mkdirSync(dirname(mine), { recursive: true });
  writeFileSync(mine, "mine");
  expect(() => installLinks(at)).toThrow(/bin\/sluice: there is something that this command did not put there \(EEXIST\): move it away$/);
  expect(readdirSync(at)).toEqual(["usr"]);
  expect(lstatSync(mine).isFile()).toBe(true);
});

test("a place that cannot be written is an error with the link and the remedy", () => {
  const at = scratch();
  writeFileSync(join(at, "file"), "");
  expect(() => installLinks(join(at, "file"))).toThrow(/sbin\/mount\.fuse\.sluice: the link cannot be made \(ENOTDIR\): run as root, or/);
});
