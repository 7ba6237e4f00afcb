// The image, as an archive in the format of OCI: the base of deploy/docker/Dockerfile, and the tree. buildah needs no daemon.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { root } from "../build.mjs";
import { pack } from "./archive.mjs";
import { runTool } from "./run-tool.mjs";

/** @param {import("./settings.mjs").Release} release @returns {Record<string, string>} */
const labels = ({ version, epoch }) => ({
  title: "sluice",
  description: "An overlay filesystem in which a policy decides, per open, how I/O flows",
  version,
  licenses: "Apache-2.0",
  created: new Date(epoch * 1000).toISOString(),
});

/** @param {import("./settings.mjs").Release} release @param {string} tree */
export function makeImage(release, tree) {
  const { out, work, version, names, epoch } = release;
  const base = process.env["SLUICE_BASE_IMAGE"];
  const tag = `localhost/sluice:${version}-${names.deb}`;
  const argv = ["build", "--file", join(root, "deploy/docker/Dockerfile"), "--target", "prebuilt", "--tag", tag, "--format", "oci"];
  argv.push("--platform", `linux/${names.deb}`, "--timestamp", String(epoch), "--identity-label=false", "--layers=false");
  if (base !== undefined) argv.push("--build-arg", `BASE_IMAGE=${base}`, "--pull=never");
  for (const [name, value] of Object.entries(labels(release))) argv.push("--label", `org.opencontainers.image.${name}=${value}`);
  runTool("buildah", [...argv, tree]);
  // Not oci-archive: its files would have the time of this run.
  const layout = join(work, "image");
  runTool("buildah", ["push", tag, `oci:${layout}:sluice:${version}`]);
  pack(layout, readdirSync(layout).sort(), join(out, `sluice-${version}-oci-${names.deb}.tar`), epoch);
  runTool("buildah", ["rmi", tag]);
}
