// Callers see the marks in the layers and the links of directories as with fuse-overlayfs itself, if that is installed.
import { join } from "node:path";
import { directory, requires, runScript, type Tree } from "@sluice/testkit";
import { expect } from "vitest";
import { dropIn, directories } from "./drop-in.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command fuse-overlayfs", "command getfattr");
const LIMIT_MS = 60_000;
const TRIES = 5;

const MARKED: Tree = {
  "marked/": directory({ xattrs: { "user.fuseoverlayfs.opaque": "y", "user.overlay.opaque": "y", "user.own": "1" } }),
  "marked/above": "",
  "merged/b/": directory(),
  "merged/same/": directory(),
};
const BELOW: Tree = { "marked/below": "", "merged/c/": directory(), "merged/same/": directory(), "merged/file": "" };

const SCRIPT = `
export LC_ALL=C; exec 2>&1
links() { stat -c '%n %h' . merged merged/b marked; }
links
ls marked; getfattr -m - -d marked
getfattr -n user.fuseoverlayfs.opaque marked; getfattr -n user.overlay.opaque marked
mkdir merged/new; touch merged/other; rmdir merged/c; links
mkdir marked/new; ls marked; links
getfattr -m - -d marked merged`;

type Tool = (options: string) => Promise<{ code: number | null; stderr: string }>;

async function seen(how: "fuse-overlayfs" | "sluice-overlayfs", options: string): Promise<string> {
  const at = directories(MARKED, BELOW);
  const run: Tool =
    how === "sluice-overlayfs"
      ? (words) => dropIn(at, "-o", words, "m")
      : (words) => runScript(["fuse-overlayfs", "-o", words, "m"], { cwd: at.directory });
  const output: string[] = [];
  for (const script of [SCRIPT, "ls marked merged"]) {
    const mounted = await run(`${at.layers}${options}`);
    expect(mounted.code, mounted.stderr).toBe(0);
    output.push((await runScript(["sh", "-c", script], { cwd: at.mountpoint })).stdout);
    expect(await runScript(["umount", join(at.directory, "m")])).toMatchObject({ code: 0 });
  }
  return output.join("");
}

test(
  "hides marks, does not copy them up, and counts links as fuse-overlayfs does",
  async () => {
    let theirs = await seen("fuse-overlayfs", "");
    // On a busy machine it now and then still counts the directory that was removed.
    for (let tries = 1; theirs.includes("merged 6") && tries < TRIES; tries++) theirs = await seen("fuse-overlayfs", "");
    expect(await seen("sluice-overlayfs", "")).toBe(theirs);
    expect(theirs).toContain("merged 5");
    expect(theirs).toContain("above");
  },
  LIMIT_MS,
);

test(
  "static_nlink: counts no links",
  async () => {
    const ours = await seen("sluice-overlayfs", ",static_nlink");
    expect(ours.match(/^(\.|merged|marked) \d$/gm)).toEqual(Array.from({ length: 3 }, () => [". 1", "merged 1", "marked 1"]).flat());
  },
  LIMIT_MS,
);
