import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { homeView } from "./home-view.js";

test("of a home directory with thousands of files the directories are shown, and as many files as there is room for", () => {
  const root = mkdtempSync(join(tmpdir(), "home-view-"));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const home = join(root, "home");
  for (const name of ["a directory", "zoo", ".ssh"]) mkdirSync(join(home, name), { recursive: true });
  symlinkSync("zoo", join(home, "link"));
  for (let at = 0; at < 2_100; at++) writeFileSync(join(home, `file${at}`), "");
  const places = { upper: join(root, "upper"), work: join(root, "work"), mounts: join(root, "mounts"), frozen: () => [] };
  const { shown, links, leftOut } = homeView(home, places, []);
  expect(shown.slice(0, 2).sort()).toEqual([join(home, "a directory"), join(home, "zoo")]);
  expect(links).toEqual([{ path: join(home, "link"), target: "zoo" }]);
  expect([shown.length, leftOut]).toEqual([1_999, 103]);
});
