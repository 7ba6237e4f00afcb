import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";

const loader = new URL("../../dist/addon/addon.js", import.meta.url);

/** In a process of its own: a process cannot unload an addon. */
function loadIn(prelude: string): { status: number | null; stderr: string } {
  const script = `${prelude}; import(process.argv[1]).then(({ loadAddon }) => console.log(loadAddon().stateBytes > 0))`;
  const { status, stderr } = spawnSync(process.execPath, ["-e", script, loader.href], { encoding: "utf8" });
  return { status, stderr };
}

/** The package has builds for these; on other machines it must be built, or is refused as below. */
const built = process.platform === "linux" && process.arch === "x64";

test("loads with the files of the package, without an install script", () => {
  const { status, stderr } = loadIn("");
  expect(built ? stderr : "").toBe("");
  expect(status).toBe(built ? 0 : 1);
});

test("says why it does not load, and what to do", () => {
  const { status, stderr } = loadIn(
    "process.dlopen = () => { throw Object.assign(new Error('no such thing'), { code: 'ERR_DLOPEN_FAILED' }) }",
  );
  expect(status).toBe(1);
  expect(stderr).toContain(
    "the package fuse-native does not load (no such thing): run 'npm install --include=optional', or use --engine devfuse",
  );
});
