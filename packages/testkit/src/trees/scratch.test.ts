import { existsSync, mkdirSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { cleanUp } from "../clean-up.js";
import { mountKernelOverlay } from "../mounts/mount-kernel-overlay.js";
import { mountsBelow } from "../mounts/mount-table.js";
import { requires } from "../machine/requirements.js";
import { type ScratchOptions, scratch } from "./scratch.js";

const held = scratch();
const made: string[] = [];
const order: string[] = [];
const MAGIC = { tmpfs: 0x01021994, "ext4-loop": 0xef53, "btrfs-loop": 0x9123683e } as const;

describe("scratch", () => {
  test("gives a directory that is gone after the test", () => {
    const path = scratch();
    made.push(path);
    mkdirSync(join(path, "a"));
    expect(existsSync(path)).toBe(true);
  });

  test("retains a directory that was made outside a test, and removes the other", () => {
    expect(existsSync(held)).toBe(true);
    expect(made.map((path) => existsSync(path))).toEqual([false]);
  });

  test("undoes in reverse", () => {
    cleanUp(() => void order.push("first"));
    cleanUp(() => void order.push("second"));
  });

  test("… which the test before did", () => {
    expect(order).toEqual(["second", "first"]);
  });

  const loops = requires("loop devices", "command mkfs.ext4");
  const btrfs = requires("loop devices", "command mkfs.btrfs");
  const onFileSystem = (on: keyof typeof MAGIC, options: ScratchOptions) => () => {
    const path = scratch({ on, ...options });
    made.push(path);
    writeFileSync(join(path, "f"), "x");
    expect(statfsSync(path).type).toBe(MAGIC[on]);
  };
  requires("CAP_SYS_ADMIN").test("makes a tmpfs", onFileSystem("tmpfs", { sizeMb: 8 }));
  loops.test("makes an ext4", onFileSystem("ext4-loop", { sizeMb: 32 }));
  btrfs.test("makes a btrfs", onFileSystem("btrfs-loop", {}));

  requires("kernel overlayfs").test("lets an overlay go with its directory", () => {
    writeFileSync(join(held, "f"), "x");
    const overlay = mountKernelOverlay({ lowers: [held, scratch()] });
    made.push(overlay);
    expect(existsSync(join(overlay, "f"))).toBe(true);
  });

  afterAll(() => {
    expect(made.filter((path) => existsSync(path) || mountsBelow(path).length > 0)).toEqual([]);
  });
});
