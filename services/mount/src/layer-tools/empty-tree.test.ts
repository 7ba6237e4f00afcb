import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { charDevice, cleanUp, plant, requires, scratch, symlink } from "@sluice/testkit";
import { expect } from "vitest";
import { openTree } from "../diff/tree.js";
import { emptyTree } from "./empty-tree.js";

const { test } = requires("CAP_SYS_ADMIN");

test("removes what is of the layer, whatever it is called, and nothing that a link or a mount leads to", () => {
  const place = scratch();
  const outside = plant(join(place, "outside"), { kept: "text" });
  const layer = plant(join(place, "layer"), {
    "a/b/c": "text",
    "a/\xff": "no UTF-8",
    gone: charDevice(0, 0),
    "a/b/link": symlink(outside),
    link: symlink(outside),
  });
  emptyTree(openTree(layer, false));
  expect(readdirSync(layer)).toEqual([]);
  expect(existsSync(join(outside, "kept"))).toBe(true);

  const inside = join(layer, "d/mount");
  mkdirSync(inside, { recursive: true });
  execFileSync("mount", ["--bind", outside, inside]);
  cleanUp(() => void execFileSync("umount", [inside]));
  expect(() => emptyTree(openTree(layer, false))).toThrow(/d\/mount: .*(EXDEV|EBUSY)/);
  expect(existsSync(join(outside, "kept"))).toBe(true);
});
