/**
 * Kernel overlayfs and Sluice take turns over the same layers, on a file system with a UUID: each continues the other one's
 * work.
 */
import { requires, scratch } from "@sluice/testkit";
import { expect } from "vitest";
import { onLayers } from "./formats/alternating.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "kernel overlayfs", "loop devices", "command mkfs.ext4");
const TREE = { a: "a\n", b: "b\n", c: "c\n", "d/e": "e\n", "f/g": "g\n" };
const NUMBERS = "stat -c '%n %i' a b c d d/e f f/g";

test("inode numbers survive copy-up and remount, whichever implementation copies up and mounts", async () => {
  await onLayers(
    TREE,
    async (layers) => {
      const before = await layers.kernel("index=off", NUMBERS);
      expect(await layers.sluice("index=off", `echo x >> a; touch d/e; chmod 700 f; ${NUMBERS}`)).toBe(before);
      expect(await layers.kernel("index=off", `${NUMBERS}; echo x >> b; touch f/g`)).toBe(before);
      expect(await layers.sluice("index=off", NUMBERS)).toBe(before);
      expect(await layers.kernel("index=off", NUMBERS)).toBe(before);
    },
    scratch({ on: "ext4-loop", sizeMb: 64 }),
  );
});

test("with uuid=off, marks carry no UUID, and only such marks are followed", async () => {
  await onLayers(
    TREE,
    async (layers) => {
      const before = await layers.kernel("index=off,uuid=off", NUMBERS);
      expect(await layers.sluice("index=off,uuid=off", `echo x >> a; touch d/e; ${NUMBERS}`)).toBe(before);
      expect(await layers.kernel("index=off,uuid=off", `${NUMBERS}; echo x >> b`)).toBe(before);
      expect(await layers.sluice("index=off,uuid=off", NUMBERS)).toBe(before);
      // Both then follow no mark with a UUID.
      await layers.sluice("index=off", "echo x >> c");
      expect(await layers.kernel("index=off,uuid=off", NUMBERS)).not.toBe(before);
      expect(await layers.sluice("index=off,uuid=off", NUMBERS)).toBe(await layers.kernel("index=off,uuid=off", NUMBERS));
    },
    scratch({ on: "ext4-loop", sizeMb: 64 }),
  );
});
