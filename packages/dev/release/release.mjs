// `npm run release -- --out DIR`: makes what users install, from this checkout. Equal checkouts, tools and SOURCE_DATE_EPOCH make
// equal bytes. Each kind of artefact has a file of its own; docs/releasing.md has the order of a release.
import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../build.mjs";
import { archive } from "./archive.mjs";
import { makeDeb } from "./deb.mjs";
import { makeImage } from "./image.mjs";
import { addNode } from "./node-inside.mjs";
import { makeNpmPackage } from "./npm-package.mjs";
import { makeRpm } from "./rpm.mjs";
import { readSettings, ReleaseError } from "./settings.mjs";
import { makeTree, normalize } from "./tree.mjs";

/** @typedef {import("./settings.mjs").Release} Release */

/** The tree for a release, made once for all artefacts of a run. @param {Release} release @param {"plain" | "with-node"} form @returns {string} */
function treeOf(release, form) {
  const tree = join(release.work, form);
  if (readdirSync(release.work).includes(form)) return tree;
  if (form === "plain") makeTree(release, tree);
  else {
    cpSync(treeOf(release, "plain"), tree, { recursive: true, verbatimSymlinks: true });
    addNode(release, tree);
  }
  normalize(tree, release.epoch);
  return tree;
}

/** @param {Release} release @param {"plain" | "with-node"} form */
function makeArchive(release, form) {
  const name = `sluice-${release.version}-linux-${release.arch}${form === "plain" ? "" : "-with-node"}`;
  const directory = join(release.work, name);
  cpSync(treeOf(release, form), directory, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
  archive(directory, join(release.out, `${name}.tar.gz`), release.epoch);
  rmSync(directory, { recursive: true });
}

/** The chart as `helm package` writes it, without helm: a directory of the chart's name in a tar. @param {Release} release */
function makeChart(release) {
  const directory = join(release.work, "sluice");
  cpSync(join(root, "deploy/k8s/chart"), directory, { recursive: true });
  normalize(directory, release.epoch);
  archive(directory, join(release.out, `sluice-chart-${release.version}.tgz`), release.epoch);
  rmSync(directory, { recursive: true });
}

/** @type {Readonly<Record<string, (release: Release) => void>>} */
const KINDS = {
  tar: (release) => makeArchive(release, "plain"),
  "tar-with-node": (release) => makeArchive(release, "with-node"),
  deb: (release) => makeDeb(release, "plain", treeOf(release, "plain")),
  "deb-with-node": (release) => makeDeb(release, "with-node", treeOf(release, "with-node")),
  npm: (release) => makeNpmPackage(release, treeOf(release, "plain")),
  rpm: (release) => makeRpm(release, treeOf(release, "plain")),
  chart: makeChart,
  image: (release) => makeImage(release, treeOf(release, "plain")),
  sbom: (release) => cpSync(join(treeOf(release, "plain"), "sbom.cdx.json"), join(release.out, `sluice-${release.version}.cdx.json`)),
};

/** @param {string} out */
function writeSums(out) {
  const sums = readdirSync(out)
    .sort()
    .map(
      (name) =>
        `${createHash("sha256")
          .update(readFileSync(join(out, name)))
          .digest("hex")}  ${name}\n`,
    );
  writeFileSync(join(out, "SHA256SUMS"), sums.join(""));
}

function release() {
  const settings = readSettings(process.argv.slice(2), Object.keys(KINDS));
  if (settings === undefined) return;
  const work = mkdtempSync(join(tmpdir(), "sluice-release-"));
  process.env["SOURCE_DATE_EPOCH"] = String(settings.epoch);
  try {
    for (const kind of settings.kinds) {
      process.stdout.write(`release: ${kind}\n`);
      KINDS[kind]?.({ ...settings, work });
    }
    writeSums(settings.out);
    for (const name of readdirSync(settings.out)) process.stdout.write(`${join(settings.out, name)}\n`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

try {
  process.umask(0o022);
  release();
} catch (error) {
  if (!(error instanceof ReleaseError)) throw error;
  process.stderr.write(`release: ${error.message}\n`);
  process.exitCode = 1;
}
