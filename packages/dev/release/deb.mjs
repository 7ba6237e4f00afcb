// The packages for Debian and Ubuntu: one for the system's Node, and one with Node inside.
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { gzipSync } from "node:zlib";
import { OLDEST_GLIBC } from "./addon.mjs";
import { runTool } from "./run-tool.mjs";
import { addSystemFiles, packageFile } from "./system-files.mjs";
import { contentsOf, normalize } from "./tree.mjs";

const { DEBFULLNAME = "The authors of Sluice", DEBEMAIL = "sluice@localhost.localdomain" } = process.env;
const MAINTAINER = `${DEBFULLNAME} <${DEBEMAIL}>`;
const DESCRIPTION = `overlay filesystem in which a policy decides about every open
 Sluice merges directories as overlayfs does, and asks a policy at every open
 how the bytes may flow: at native speed through the kernel, through a daemon
 that meters them, or not at all. It also runs a program on a copy-on-write
 view of a directory, whose changes are reviewed before they are taken over.`;

/** dpkg sorts "0.2.0~rc.1" before "0.2.0". @param {string} version */
export const packageVersion = (version) => version.replace("-", "~");

/** @param {import("./settings.mjs").Release} release @param {"plain" | "with-node"} form @param {number} size in KiB */
function control({ version, names }, form, size) {
  const plain = form === "plain";
  return [
    `Package: ${plain ? "sluice" : "sluice-with-node"}`,
    `Version: ${packageVersion(version)}`,
    `Architecture: ${names.deb}`,
    `Maintainer: ${MAINTAINER}`,
    `Installed-Size: ${size}`,
    `Depends: fuse3, ${plain ? "nodejs (>= 20.19)" : "libstdc++6"}, libc6 (>= ${OLDEST_GLIBC}), passwd`,
    "Recommends: attr, bubblewrap",
    ...(plain ? ["Conflicts: sluice-with-node"] : ["Provides: sluice", "Conflicts: sluice"]),
    `Replaces: ${plain ? "sluice-with-node" : "sluice"}`,
    "Section: admin",
    "Priority: optional",
    `Description: ${DESCRIPTION}${plain ? "" : "\n .\n This package has a Node of its own inside, for systems whose Node is too old."}`,
    "",
  ].join("\n");
}

/** @param {string} file @param {string} text */
function script(file, text) {
  writeFileSync(file, text);
  chmodSync(file, 0o755);
}

/** With Node inside, the caches of compiled code are files of the package. @param {string} directory DEBIAN @param {"plain" | "with-node"} form */
function addScripts(directory, form) {
  const useradd = packageFile("useradd.sh").replace(/^(?=.)/gm, "  ");
  const caches = form === "plain" ? packageFile("make-caches.sh") : "";
  script(join(directory, "postinst"), packageFile("deb-postinst.sh").replace("#USERADD#\n", useradd).replace("#CACHES#\n", caches));
  script(join(directory, "prerm"), packageFile("deb-prerm.sh"));
  // Another Node needs other caches: dpkg then calls postinst.
  if (form === "plain") writeFileSync(join(directory, "triggers"), "interest-noawait /usr/bin/node\n");
  script(join(directory, "postrm"), packageFile("deb-postrm.sh"));
  writeFileSync(join(directory, "conffiles"), "/etc/sluice/policy.yaml\n");
}

/** @param {string} stage @param {string} name of the package @param {import("./settings.mjs").Release} release */
function addDocumentation(stage, name, { version, epoch }) {
  const doc = join(stage, "usr/share/doc", name);
  const date = new Date(epoch * 1000).toUTCString().replace("GMT", "+0000");
  const text = `${name} (${packageVersion(version)}) stable; urgency=medium\n\n  * CHANGELOG.md.gz has the changes.\n\n -- ${MAINTAINER}  ${date}\n`;
  writeFileSync(join(doc, "changelog.gz"), gzipSync(text, { level: 9 }));
  writeFileSync(join(doc, "copyright"), packageFile("copyright"));
  if (existsSync(join(doc, "CHANGELOG.md"))) runTool("gzip", ["--no-name", "--best", join(doc, "CHANGELOG.md")]);
  const exceptions = packageFile("lintian-overrides") + (name === "sluice" ? "" : packageFile("lintian-overrides-with-node"));
  const overrides = join(stage, "usr/share/lintian/overrides");
  mkdirSync(overrides, { recursive: true });
  writeFileSync(join(overrides, name), exceptions.replaceAll("#NAME#", name));
}

/** The directories and files of a stage, without DEBIAN. @param {string} stage */
function measure(stage) {
  const files = [...contentsOf(stage)].filter(({ path }) => !relative(stage, path).startsWith("DEBIAN"));
  const size = files.reduce((sum, { path, kind }) => sum + (kind === "file" ? Math.ceil(statSync(path).size / 1024) : 1), 0);
  const sums = files
    .filter(({ kind }) => kind === "file")
    .map(({ path }) => `${createHash("md5").update(readFileSync(path)).digest("hex")}  ${relative(stage, path)}\n`);
  return { size, sums: sums.join("") };
}

/** @param {import("./settings.mjs").Release} release @param {"plain" | "with-node"} form @param {string} tree */
export function makeDeb(release, form, tree) {
  const name = form === "plain" ? "sluice" : "sluice-with-node";
  const stage = join(release.work, `deb-${form}`);
  addSystemFiles(stage, tree, { zsh: "usr/share/zsh/vendor-completions", doc: `usr/share/doc/${name}` });
  addDocumentation(stage, name, release);
  normalize(stage, release.epoch);
  const directory = join(stage, "DEBIAN");
  mkdirSync(directory);
  const { size, sums } = measure(stage);
  writeFileSync(join(directory, "control"), control(release, form, size));
  writeFileSync(join(directory, "md5sums"), sums);
  addScripts(directory, form);
  normalize(stage, release.epoch);
  const file = join(release.out, `${name}_${packageVersion(release.version)}_${release.names.deb}.deb`);
  // One thread: the number of threads would show in the bytes.
  runTool("dpkg-deb", ["--root-owner-group", "-Zxz", "--threads-max=1", "--build", stage, file]);
}
