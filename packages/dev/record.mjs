// Runs the mount of README.md as it stands, in a directory of its own, and draws what the terminal showed:
// docs/pictures/session.svg. Run by hand, as root, after a build, if the commands or their output change.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./build.mjs";

const SHOWN = "/tmp/try";
const FONT_PX = 13;
const LINE_PX = 18;
const CHARACTER_PX = 7.83;
const MARGIN_PX = 16;

/** @returns {readonly string[]} the block that mounts, and the one that looks */
function blocksOfReadme() {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const [, ...blocks] = [...readme.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block = ""]) => block);
  return blocks;
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
  const script = `sluice() { "${process.execPath}" "${join(root, "packages/cli/bin/sluice.mjs")}" "$@"; }
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

/** @param {string} text */
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** @param {string} text @returns {string} */
function svgOf(text) {
  const lines = text
    .trimEnd()
    .split("\n")
    .map((line) => line.trimEnd());
  const width = Math.ceil(Math.max(...lines.map((line) => line.length)) * CHARACTER_PX) + 2 * MARGIN_PX;
  const height = lines.length * LINE_PX + 2 * MARGIN_PX;
  const rows = lines.map((line, at) => {
    const color = line.startsWith("$ ") ? "#7ee787" : /denied|^effect +deny/i.test(line) ? "#ff7b72" : "#e6edf3";
    return `<text x="${MARGIN_PX}" y="${MARGIN_PX + LINE_PX * at + FONT_PX}" fill="${color}" xml:space="preserve">${escaped(line)}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"
  font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="${FONT_PX}">
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
${rows.join("\n")}
</svg>
`;
}

const scratch = mkdtempSync(join(tmpdir(), "sluice-record-"));
try {
  writeFileSync(join(root, "docs/pictures/session.svg"), svgOf(session(scratch)));
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
