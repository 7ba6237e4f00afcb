import { Errno } from "@sluice/vfs";
import { expect, test } from "vitest";
import { checked } from "./copy-object.js";

test("advises to make room if a disk or a quota is full, and to take another file system otherwise", () => {
  const adviceFor = (errno: number): string => {
    try {
      checked(-errno, "a/b", "its data cannot be copied");
      return "";
    } catch (error) {
      return (error as Error).message;
    }
  };
  const room = "make room on its disk, and run the command again";
  expect(adviceFor(Errno.ENOSPC)).toBe(`a/b: its data cannot be copied (ENOSPC): ${room}`);
  expect(adviceFor(Errno.EDQUOT)).toBe(`a/b: its data cannot be copied (EDQUOT): ${room}`);
  expect(adviceFor(Errno.EPERM)).toBe(
    "a/b: its data cannot be copied (EPERM): write to a file system that takes owners, devices and attributes",
  );
});
