// A tree that no path is long enough for. Node's own rmSync cannot remove it, so it goes before its scratch directory does.
import { spawnSync } from "node:child_process";
import { check, native } from "@sluice/native";
import { AT, O } from "@sluice/vfs";
import { cleanUp } from "../clean-up.js";

const DEPTH = 25;
const NAME = "n".repeat(200);
const DIRECTORY = O.RDONLY | O.DIRECTORY | O.CLOEXEC;

/** Nested directories below `root`, the innermost with one file of two names, "first" and "second". Their paths, outermost first. */
export function plantDeep(root: string): string[] {
  cleanUp(() => void spawnSync("rm", ["-rf", root]));
  let at = check(native.openat(AT.FDCWD, root, DIRECTORY, 0), `open ${root}`);
  for (let depth = 0; depth < DEPTH; depth++) {
    check(native.mkdirat(at, NAME, 0o755), "make a directory");
    const next = check(native.openat(at, NAME, DIRECTORY, 0), "open a directory");
    native.close(at);
    at = next;
  }
  native.close(check(native.openat(at, "first", O.WRONLY | O.CREAT | O.CLOEXEC, 0o644), "make a file"));
  check(native.linkat(at, "first", at, "second", 0), "link a file");
  native.close(at);
  return Array.from({ length: DEPTH }, (_each, index) =>
    Array<string>(index + 1)
      .fill(NAME)
      .join("/"),
  );
}
