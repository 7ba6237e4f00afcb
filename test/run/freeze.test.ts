// `sluice run --freeze`: a directory that changes during the session, as root and as an ordinary user.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { drawnCases, requires, scratch } from "@sluice/testkit";
import { describe, expect } from "vitest";
import { chooseSeed } from "../fault/exercisers/policies.js";
import { CALLERS, NEEDS, Project } from "./sandboxed.js";

const { test } = requires(...NEEDS, "loop devices", "command mkfs.btrfs");
const LIMIT_MS = 180_000;
const LARGE = "large\n".repeat(400_000);
const FILES = { f: "old\n", g: "old\n", large: LARGE, "dir/x": "x\n", "dir/gone": "gone\n" };

/** `npm run test:soak sessions` runs it as both. */
describe.each(drawnCases(CALLERS, 1, chooseSeed()))("as %s", (caller) => {
  test(
    "a change of the directory is not seen by the session and its forks, and is a conflict only where both changed",
    async () => {
      const project = new Project(caller, FILES, scratch({ on: "btrfs-loop" }));
      const begun = await project.sluice([
        "run",
        "--freeze",
        "--name",
        "one",
        "--",
        "sh",
        "-ec",
        "echo mine >> f; echo mine >> large; mv dir moved",
      ]);
      expect(begun.code, begun.stderr).toBe(0);
      const quiet = await project.sluice(["diff", "one"]);
      expect(quiet.stdout).not.toContain("underneath");
      writeFileSync(join(project.base, "f"), "theirs\n");
      writeFileSync(join(project.base, "g"), "theirs\n");
      writeFileSync(join(project.base, "new"), "theirs\n");
      rmSync(join(project.base, "dir/gone"));
      const show = "cat f g moved/gone; ls";
      const shown = await project.sluice(["run", "--resume", "one", "--", "sh", "-ec", show]);
      expect(shown.stdout).toBe("old\nmine\nold\ngone\nf\ng\nlarge\nmoved\n");
      await project.sluice(["fork", "one", "two"]);
      await project.sluice(["discard", "one"]);
      expect((await project.sluice(["run", "--resume", "two", "--", "sh", "-ec", show])).stdout).toBe(shown.stdout);
      const { stdout } = await project.sluice(["diff", "two"]);
      expect(stdout.split("\n").filter((line) => line.includes("[changed underneath"))).toEqual([expect.stringMatching(/^M f /)]);
      expect((await project.sluice(["apply", "two", "large"])).code).toBe(0);
      expect(readFileSync(join(project.base, "large"), "utf8")).toBe(`${LARGE}mine\n`);
      expect(readFileSync(join(project.base, "g"), "utf8")).toBe("theirs\n");
    },
    LIMIT_MS,
  );
});

const elsewhere = requires(...NEEDS, "loop devices", "command mkfs.ext4");

elsewhere.test(
  "a file system without reflinks is named with a remedy, and no session stays",
  async () => {
    const project = new Project("root", FILES, scratch({ on: "ext4-loop" }));
    const { code, stderr } = await project.sluice(["run", "--freeze", "--", "true"]);
    expect(stderr).toMatch(
      /^sluice: .*: its files cannot be cloned into the session \(EOPNOTSUPP\): put the directory and XDG_STATE_HOME on one /,
    );
    expect(code).toBe(4);
    expect((await project.sluice(["sessions"])).stderr).toBe("no sessions\n");
    expect((await project.sluice(["run", "--freeze", "--resume", "one", "--", "true"])).code).toBe(2);
  },
  LIMIT_MS,
);
