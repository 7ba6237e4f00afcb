// The bill of materials (CycloneDX): as npm writes it, with an identity and a time that repeat, and with the Node of some artefacts.
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { root } from "../build.mjs";
import { NODE } from "./node-inside.mjs";
import { runTool } from "./run-tool.mjs";

/** A UUID of version 8 that names these bytes. @param {string} text */
function identityOf(text) {
  const hex = createHash("sha256").update(text).digest("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join("-");
}

const NODE_COMPONENT = {
  "bom-ref": `node@${NODE.version}`,
  type: "application",
  name: "node",
  version: NODE.version,
  scope: "optional",
  description: "only in the artefacts with Node inside",
  purl: `pkg:generic/node@${NODE.version}`,
};

/** @typedef {{ "bom-ref": string, properties?: { name: string }[] }} Component */

/**
 * `npm sbom --omit dev` leaves out packages that both a program and a tool for development need.
 * @param {{ components: Component[], dependencies: { ref: string, dependsOn: string[] }[] }} bom
 */
function leaveOutDevelopment(bom) {
  const forDevelopment = (/** @type {Component} */ { properties = [] }) =>
    properties.some(({ name }) => name === "cdx:npm:package:development");
  const left = new Set(bom.components.filter(forDevelopment).map((component) => component["bom-ref"]));
  bom.components = bom.components.filter((component) => !left.has(component["bom-ref"]));
  bom.dependencies = bom.dependencies
    .filter(({ ref }) => !left.has(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((other) => !left.has(other)) }));
}

/** @param {import("./settings.mjs").Release} release @param {string} target file */
export function writeSbom({ epoch }, target) {
  const argv = ["sbom", "--sbom-format", "cyclonedx", "--sbom-type", "application", "--package-lock-only"];
  const bom = JSON.parse(runTool("npm", argv, { cwd: root }));
  leaveOutDevelopment(bom);
  bom.components.push(NODE_COMPONENT);
  // npm takes the name of the folder.
  bom.metadata.component.name = "sluice";
  bom.metadata.timestamp = new Date(epoch * 1000).toISOString();
  delete bom.serialNumber;
  bom.serialNumber = `urn:uuid:${identityOf(JSON.stringify(bom))}`;
  writeFileSync(target, `${JSON.stringify(bom, null, 2)}\n`);
}
