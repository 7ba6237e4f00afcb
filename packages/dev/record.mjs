// Runs the mount of README.md as it stands, in a directory of its own, and draws what the terminal showed:
// docs/pictures/session.svg. Run by hand, as root, after a build, if the commands or their output change.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./build.mjs";
import { pictureOf } from "./terminal-picture.mjs";

const SHOWN = "/tmp/try";

/** @returns {readonly string[]} the block that mounts, and the one that looks */
function blocksOfReadme() {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const blocks = [...readme.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block = ""]) => block);
  return blocks.slice(blocks.findIndex((block) => block.includes("sluice mount ")));
}

/** @param {string} scratch @returns {string} what the terminal showed */
function session(scratch) {
  const own = (/** @type {string} */ text) => text.replaceAll(SHOWN, scratch).replaceAll("npx sluice", "sluice");
  const [mount = "", looks = ""] = blocksOfReadme();
  const commands = looks
    .trim()
    .split("\n")
    .map((line) => line.replace(/\s+#.*$/, ""));
  const shown = commands.filter((line) => !/status|exec/.test(line));
  const steps = commands.map(
    (line) => `${shown.includes(line) ? `echo '$ ${own(line)}'` : ""}\n${own(line)}${/status/.test(line) ? " >/dev/null" : ""}`,
  );
  const script = `sluice() { "${process.execPath}" "${join(root, "packages/cli/bin/sluice.cjs")}" "$@"; }
exec 2>&1
${own(mount).trimEnd()} >"${scratch}/out" 2>&1 &
until grep -q '^mounted' "${scratch}/out"; do sleep 0.1; done
grep '^mounted' "${scratch}/out"
${steps.join("\n")}
wait`;
  const { stdout, status } = spawnSync("bash", ["-c", script], { encoding: "utf8" });
  if (status !== 0) throw new Error(`the session failed: ${stdout}`);
  return stdout.replaceAll(scratch, SHOWN).replace(/^bash: line \d+: /gm, "");
}

const scratch = mkdtempSync(join(tmpdir(), "sluice-record-"));
try {
  writeFileSync(join(root, "docs/pictures/session.svg"), pictureOf(session(scratch)));
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
