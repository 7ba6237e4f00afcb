// npm's `prepare` step: `npm ci` ends here. The addon was built before, by packages/native's own install script.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { buildBundle, buildTypescript, root, typescriptCli } from "./build.mjs";
import { npmProgram } from "./npm-program.mjs";

/**
 * npm 9 and 10 run the install script of fuse-native, which fails without libfuse 2, and then leave the package out. It works
 * without its script. npm 11 runs none (allowScripts in package.json).
 */
function bringPortableEngine() {
  if (existsSync(join(root, "node_modules/fuse-native")) || process.env["npm_config_omit"]?.includes("optional")) return;
  const { file, argv } = npmProgram();
  const { status } = spawnSync(file, [...argv, "install", "--ignore-scripts", "--no-save"], { cwd: root, stdio: "inherit" });
  if (status !== 0) console.log("sluice: the package fuse-native is missing, so --engine fuse-native does not work");
}

bringPortableEngine();
if (!typescriptCli()) {
  console.log("sluice: development dependencies are left out, so dist/ is not built; bring it along, or run `npm ci` without --omit=dev");
} else if (!buildTypescript() || !buildBundle()) {
  console.error("sluice: the build failed; its messages are above");
  process.exit(1);
}
