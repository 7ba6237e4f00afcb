import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requires } from "@sluice/testkit";
import { afterAll, expect } from "vitest";
import { keptTable } from "./kept-mount-table.js";
import { mountAt, readMountTable } from "./mount-table.js";

const { test } = requires("CAP_SYS_ADMIN", "command mount");

const home = mkdtempSync(join(tmpdir(), "kept-mount-table-"));
afterAll(() => rmSync(home, { recursive: true }));

test("a kept table has every mount that began or ended before it is asked for", () => {
  const text = keptTable();
  const place = join(home, "place");
  const typeThere = (): string | undefined => mountAt(place, readMountTable(text()))?.type;
  mkdirSync(place);
  expect(typeThere()).toBeUndefined();
  for (let round = 0; round < 5; round++) {
    execFileSync("mount", ["-t", "tmpfs", "kept", place]);
    try {
      expect(typeThere()).toBe("tmpfs");
      expect(typeThere()).toBe("tmpfs");
    } finally {
      execFileSync("umount", [place]);
    }
    expect(typeThere()).toBeUndefined();
  }
});
