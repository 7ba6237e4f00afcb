// Node inside of an artefact, for machines whose own Node is too old or missing: the program as its makers publish it.
import { createHash } from "node:crypto";
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../build.mjs";
import { checkGlibc } from "./addon.mjs";
import { runTool } from "./run-tool.mjs";
import { ReleaseError } from "./settings.mjs";

/** Kept up with Node's releases: docs/releasing.md. */
export const NODE = /** @type {{ version: string, integrity: Record<string, string> }} */ (
  JSON.parse(readFileSync(new URL("node.json", import.meta.url), "utf8"))
);

/** @param {import("./settings.mjs").Release} release @returns {string} the unpacked package of npm */
function fetchNode({ arch, work }) {
  const directory = join(work, "node");
  mkdirSync(directory, { recursive: true });
  const argv = ["pack", "--silent", "--prefer-offline", "--pack-destination", directory, `node-linux-${arch}@${NODE.version}`];
  const file = join(directory, runTool("npm", argv, { cwd: root }).trim());
  const found = `sha512-${createHash("sha512").update(readFileSync(file)).digest("base64")}`;
  if (found !== NODE.integrity[arch]) throw new ReleaseError(`node-linux-${arch}@${NODE.version}: other bytes than node.json says`);
  runTool("tar", ["-xzf", file, "-C", directory, "package/bin/node", "package/LICENSE"]);
  rmSync(file);
  return join(directory, "package");
}

/** @param {string} program in the tree */
const wrapper = (program) => `#!/bin/sh
# Starts it with the Node beside it, from any place, and by a link.
here=$(readlink -f "$0")
exec "\${here%/bin/*}/lib/node" "\${here%/bin/*}/${program}" "$@"
`;

/**
 * Caches of compiled code, which belong to this Node, and so to the time of its file. The Node of another architecture cannot make them here.
 * @param {import("./settings.mjs").Release} release @param {string} tree
 */
function makeCaches({ arch, epoch }, tree) {
  if (arch !== process.arch) return;
  utimesSync(join(tree, "lib/node"), epoch, epoch);
  runTool(join(tree, "lib/node"), [join(tree, "make-caches.cjs")]);
}

/** @param {import("./settings.mjs").Release} release @param {string} tree of a release, without Node */
export function addNode(release, tree) {
  const fetched = fetchNode(release);
  mkdirSync(join(tree, "lib"));
  copyFileSync(join(fetched, "bin/node"), join(tree, "lib/node"));
  chmodSync(join(tree, "lib/node"), 0o755);
  copyFileSync(join(fetched, "LICENSE"), join(tree, "lib/LICENSE"));
  checkGlibc(join(tree, "lib/node"));
  makeCaches(release, tree);
  const { bin } = /** @type {{ bin: Record<string, string> }} */ (JSON.parse(readFileSync(join(tree, "package.json"), "utf8")));
  for (const name of readdirSync(join(tree, "bin"))) {
    const script = join(tree, bin[name] ?? "");
    // The Node of PATH must not run it.
    writeFileSync(script, readFileSync(script, "utf8").replace(/^#!.*\n/, ""));
    chmodSync(script, 0o644);
    rmSync(join(tree, "bin", name));
    writeFileSync(join(tree, "bin", name), wrapper(bin[name] ?? ""), { mode: 0o755 });
  }
}
