import { expect, test } from "vitest";
import { isBeneath, mountAt, mountOf, readMountTable } from "./mount-table.js";

const TEXT = [
  "1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
  "2 1 8:1 /sub\\040dir /mnt/a\\040b rw - ext4 /dev/sda1 rw",
  "3 1 0:50 / /mnt/view rw - fuse.sluice sluice rw,user_id=0",
  "4 3 0:51 / /mnt/view rw - tmpfs over rw",
  "",
].join("\n");
const table = readMountTable(TEXT);

test("reads rows with optional fields and escaped blanks", () => {
  expect(table).toHaveLength(4);
  expect(table[1]).toMatchObject({ device: "8:1", root: "/sub dir", mountpoint: "/mnt/a b", type: "ext4" });
});

test("the mount of a path is the deepest, and of two at one place the later", () => {
  expect(mountOf("/mnt/a b/c", table)?.mountId).toBe(2);
  expect(mountOf("/mnt/a bc", table)?.mountId).toBe(1);
  expect(mountOf("/mnt/view/x", table)?.mountId).toBe(4);
  expect(mountAt("/mnt/view", table)?.type).toBe("tmpfs");
});

test("beneath is by whole names", () => {
  expect([isBeneath("/a/b", "/a"), isBeneath("/ab", "/a"), isBeneath("/a", "/a"), isBeneath("/a", "/")]).toEqual([true, false, true, true]);
});
