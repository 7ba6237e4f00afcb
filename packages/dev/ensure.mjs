// Makes `npm start`, `npm test` and `npm run check` work from any state of the tree, a fresh clone included:
// installs where node_modules is out of step with the lock file, then builds what is out of date.
// Runs before anything is installed, so it imports nothing but Node and its neighbours.
import { spawnSync } from "node:child_process";
import { buildOrExit, giveUp, root } from "./build.mjs";
import { whyInstall } from "./lock-step.mjs";
import { npmProgram } from "./npm-program.mjs";

const OLDEST_NODE = [20, 19];

function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST_NODE;
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return;
  giveUp(`node ${process.versions.node} is too old: install Node.js ${OLDEST_NODE.join(".")} or newer`);
}

function npmCi() {
  const command = npmProgram();
  // --include=dev: NODE_ENV=production would leave the compiler out, and both commands build.
  return spawnSync(command.file, [...command.argv, "ci", "--include=dev"], { cwd: root, stdio: "inherit" });
}

function ensureInstalled() {
  const why = whyInstall(root);
  if (!why) return;
  console.log(`sluice: ${why}: running npm ci`);
  const done = npmCi();
  if (done.error) giveUp(`npm could not be started (${done.error.message}): install npm, then try again`);
  if (done.status !== 0) giveUp("npm ci failed; its messages are above");
}

requireNode();
ensureInstalled();
// `npm run check` and `npm test` build by themselves what they need; unit tests load the sources and the addon alone.
if (process.argv.includes("--addon-only")) buildOrExit(["addon"]);
else if (!process.argv.includes("--install-only")) buildOrExit(["addon", "types", "bundle"]);
