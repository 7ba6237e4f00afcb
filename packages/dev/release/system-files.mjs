// The files of a system package, deb or rpm: the tree below /usr/lib/sluice, and pages, completions, units and a policy in the places of a system.
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { root } from "../build.mjs";
import { runTool } from "./run-tool.mjs";

const HOME = "usr/lib/sluice";
/** mount(8) looks for its helpers in sbin alone. */
const HELPERS = ["mount.fuse.sluice", "umount.fuse.sluice"];
const FILES = new URL("package-files/", import.meta.url);

/** @param {string} name of a file in package-files/ */
export const packageFile = (name) => readFileSync(new URL(name, FILES), "utf8");

/** @param {string} file @param {string} text */
function write(file, text) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

/** @param {readonly string[]} argv of `sluice` of this checkout */
const sluice = (argv) => runTool(process.execPath, [join(root, "packages/cli/bin/sluice.cjs"), ...argv]);

/** @param {string} stage @param {string} tree */
function addTree(stage, tree) {
  cpSync(tree, join(stage, HOME), { recursive: true, verbatimSymlinks: true });
  for (const name of readdirSync(join(stage, HOME, "bin"))) {
    const link = join(stage, HELPERS.includes(name) ? "usr/sbin" : "usr/bin", name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(relative(dirname(link), join(stage, HOME, "bin", name)), link);
  }
  // A package names its interpreter, which PATH must not change. With Node inside the scripts have none.
  const { bin } = /** @type {{ bin: Record<string, string> }} */ (JSON.parse(readFileSync(join(tree, "package.json"), "utf8")));
  for (const path of Object.values(bin)) {
    const script = join(stage, HOME, path);
    writeFileSync(script, readFileSync(script, "utf8").replace(/^#!.*/, "#!/usr/bin/node"));
  }
}

/** @param {string} text of a help @returns {string} in the language of man(7) */
const preformatted = (text) =>
  text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^([.'])/gm, "\\&$1");

function overlayfsPage() {
  const help = runTool(process.execPath, [join(root, "packages/overlayfs-cli/bin/sluice-overlayfs.cjs"), "--help"]);
  const name = "sluice\\-overlayfs \\- mount layers with the command line of fuse\\-overlayfs";
  return `.TH "SLUICE\\-OVERLAYFS" 1 "" "sluice" "Sluice"\n.SH NAME\n${name}\n.SH DESCRIPTION\n.nf\n${preformatted(help)}.fi\n`;
}

/** @param {string} stage */
function addManual(stage) {
  const [commands, administration] = [join(stage, "usr/share/man/man1"), join(stage, "usr/share/man/man8")];
  sluice(["man", "--to", commands]);
  write(join(commands, "sluice-overlayfs.1"), overlayfsPage());
  runTool("gzip", ["--no-name", "--best", ...readdirSync(commands).map((name) => join(commands, name))]);
  mkdirSync(administration, { recursive: true });
  for (const name of HELPERS) symlinkSync("../man1/sluice-overlayfs.1.gz", join(administration, `${name}.8.gz`));
}

/** @param {string} stage @param {string} zsh directory of completions, which distributions name differently */
function addCompletions(stage, zsh) {
  write(join(stage, "usr/share/bash-completion/completions/sluice"), sluice(["completion", "bash"]));
  write(join(stage, zsh, "_sluice"), sluice(["completion", "zsh"]));
  write(join(stage, "usr/share/fish/vendor_completions.d/sluice.fish"), sluice(["completion", "fish"]));
}

/** Nothing enables them. @param {string} stage */
function addUnits(stage) {
  const units = join(root, "deploy/systemd");
  for (const name of readdirSync(units).filter((file) => /\.(?:service|socket)$/.test(file))) {
    const text = readFileSync(join(units, name), "utf8").replaceAll("/usr/local/bin/", "/usr/bin/");
    write(join(stage, "usr/lib/systemd/system", name), text.replace(" Copy to /etc/systemd/system;", ""));
  }
}

/**
 * @param {string} stage a directory to make @param {string} tree
 * @param {{ zsh: string, doc: string }} places that distributions name differently
 */
export function addSystemFiles(stage, tree, { zsh, doc }) {
  addTree(stage, tree);
  addManual(stage);
  addCompletions(stage, zsh);
  addUnits(stage);
  write(join(stage, "etc/sluice/policy.yaml"), packageFile("policy.yaml"));
  mkdirSync(join(stage, "etc/sluice/mounts"));
  write(join(stage, doc, "examples/models.env"), packageFile("models.env"));
  renameSync(join(stage, HOME, "docs"), join(stage, doc, "docs"));
  const changes = join(root, "CHANGELOG.md");
  if (existsSync(changes)) copyFileSync(changes, join(stage, doc, "CHANGELOG.md"));
}
