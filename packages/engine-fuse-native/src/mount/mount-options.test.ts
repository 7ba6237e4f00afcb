import type { MountOptions } from "@sluice/vfs";
import { expect, test } from "vitest";
import { optionString } from "./mount-options.js";

const OPTIONS: MountOptions = {
  mountpoint: "/m",
  source: "s",
  subtype: "sluice",
  flags: 0,
  allowOther: true,
  maxStackDepth: 1,
  maxWriteBytes: 1,
};
const words = (options: Partial<MountOptions>, how = { asRoot: true, autoUnmount: true }): string[] =>
  optionString({ ...OPTIONS, ...options }, how)
    .slice(2)
    .split(",");

test("admits other users only with privilege, and uses fusermount's watch if it is there", () => {
  expect(words({})).toEqual(expect.arrayContaining(["allow_other", "auto_unmount", "default_permissions"]));
  expect(words({}, { asRoot: false, autoUnmount: false })).not.toEqual(expect.arrayContaining(["allow_other"]));
  expect(words({ allowOther: false })).not.toContain("allow_other");
});

test("mount flags become words, and a flag that libfuse does not know is refused", () => {
  expect(words({ flags: 1 | 8 | 1024 })).toEqual(expect.arrayContaining(["ro", "noexec", "noatime"]));
  expect(() => words({ flags: 2048 })).toThrow(/0x800: leave the option out/);
});

test("a source cannot add options", () => {
  expect(optionString({ ...OPTIONS, source: "a,suid\\b" }, { asRoot: true, autoUnmount: true })).toContain("fsname=a\\,suid\\\\b,");
  expect(() => words({ source: "\xff" })).toThrow(/not UTF-8/);
  expect(() => words({ source: "x".repeat(2000) })).toThrow(/longer than/);
});
