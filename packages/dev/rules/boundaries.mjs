// Which package may import which, as data, and the check that holds the sources to it.
// The reason is printed with each violation: a rule without a reason is a rule somebody will work around.
import { existsSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { importsOf, listFiles } from "./source-files.mjs";

/**
 * @typedef {object} Boundary
 * @property {readonly string[]} may names of our own packages, without `@sluice/`
 * @property {Readonly<Record<string, string>>} [onlyIn] package (ours or not) → folder below src that alone may import it
 * @property {readonly string[]} [external] the only foreign packages allowed; absent: as package.json declares
 * @property {string} reason
 */

/** @type {Readonly<Record<string, Boundary>>} */
export const BOUNDARIES = {
  "packages/native": { may: [], external: [], reason: "the addon's face is system calls: no policy, no state, nothing of ours below it" },
  "packages/vfs": { may: [], external: [], reason: "the contract between engine and filesystem must not depend on either side of it" },
  "packages/fuse-protocol": {
    may: ["vfs"],
    external: [],
    reason: "bytes to values and back; a codec that could reach a descriptor could not be tested with bytes",
  },
  "packages/keeper-link": {
    may: ["native", "vfs"],
    external: [],
    reason: "what is done with privilege stays small: no policy, no overlay, no protocol of files or decisions",
  },
  "packages/base-record": {
    may: ["native", "vfs"],
    external: [],
    reason: "one form for a mount that writes and a review that reads: it knows neither of them, and touches no layer",
  },
  "packages/journal": {
    may: [],
    external: [],
    reason:
      "state that outlives a process is bytes in a table: it knows neither who writes it nor what it means, so that formats can be tested alone",
  },
  "packages/engine-devfuse": {
    may: ["vfs", "fuse-protocol", "keeper-link", "native"],
    external: [],
    reason: "an engine knows the contract, not the overlay: a stub must be mountable, and the overlay must run under another engine",
  },
  "packages/engine-fuse-native": { may: ["vfs"], reason: "the portable engine must work where the addon cannot be built" },
  "packages/id-mapping": {
    may: ["vfs"],
    external: [],
    reason: "ids are mapped around any filesystem, so that neither the overlay nor an engine knows of it",
  },
  "packages/overlay": {
    may: ["journal", "vfs", "native"],
    onlyIn: { native: "layer" },
    external: [],
    reason: "only layer/ touches the host: everything above it runs on a layer that a test can make faulty; no policy, wire or engine here",
  },
  "packages/decision-api": {
    may: [],
    onlyIn: { "@grpc/grpc-js": "gen", "@bufbuild/protobuf": "gen" },
    external: ["@grpc/grpc-js", "@bufbuild/protobuf"],
    reason: "domain types carry no wire type; only generated code and the one converter beside it know the wire",
  },
  "packages/host-api": {
    may: ["native", "runtime"],
    external: ["@grpc/grpc-js", "@bufbuild/protobuf"],
    reason: "a command that has a mount made elsewhere loads no part of a mount; only system calls and the form of an error are shared",
  },
  "packages/decision-client": {
    may: ["decision-api"],
    external: ["@grpc/grpc-js"],
    reason: "a client of decisions knows nothing of file systems, so that it can be tested against a scripted server",
  },
  "packages/policy-backends": {
    may: ["decision-api", "decision-client"],
    onlyIn: { "decision-client": "grpc" },
    reason: "a backend answers questions; where they come from is not its business, and only the one that asks another service asks on",
  },
  "packages/runtime": {
    may: [],
    onlyIn: {
      "@opentelemetry/api": "tracing",
      "@opentelemetry/core": "tracing",
      "@opentelemetry/exporter-trace-otlp-http": "tracing",
      "@opentelemetry/resources": "tracing",
      "@opentelemetry/sdk-trace-base": "tracing",
    },
    reason: "logging, metrics and tracing serve the services; libraries emit events instead",
  },
  "packages/layer-tools": {
    may: ["mount-control", "native", "runtime", "vfs"],
    external: [],
    reason: "layers are checked and rewritten offline, beneath their roots: no mount, engine, overlay or policy takes part",
  },
  "packages/changes": {
    may: ["base-record", "layer-tools", "native", "runtime", "vfs"],
    onlyIn: { diff: "patch" },
    external: ["diff"],
    reason: "changes are reviewed and taken over offline, beneath the roots of directories: no mount, engine, overlay or policy takes part",
  },
  "packages/mount-control": {
    may: ["decision-api", "native", "overlay", "runtime", "vfs"],
    external: [],
    reason: "a command that asks a running mount loads neither the server nor what it is made of; of the overlay it takes types alone",
  },
  "packages/sandbox": {
    may: ["layer-tools", "mount-control", "native", "runtime", "sessions"],
    external: [],
    reason: "it mounts by the command line, as a user would, and hands options to bubblewrap: no overlay, policy or engine takes part",
  },
  "packages/sessions": {
    may: ["base-record", "layer-tools", "native", "runtime", "vfs"],
    external: [],
    reason: "what a session is on disk: it is found, locked and removed without a mount, a policy or the program that ran in it",
  },
  "packages/top": {
    may: ["mount-control", "runtime"],
    external: [],
    reason: "a terminal view is made of reports, which a test can write: it reaches neither a mount nor a layer",
  },
  "packages/testkit": {
    may: ["decision-api", "host-api", "native", "vfs", "fuse-protocol", "overlay"],
    reason: "the mount harness drives the command line and the host service as a user would, so that it tests what ships",
  },
  "packages/cli": {
    may: [
      "changes",
      "decision-api",
      "host-api",
      "layer-tools",
      "mount-control",
      "native",
      "overlay",
      "policy-backends",
      "runtime",
      "sandbox",
      "service-csi",
      "service-decision",
      "service-keeper",
      "service-mount",
      "service-volume-plugin",
      "sessions",
      "top",
      "vfs",
    ],
    reason: "the only place that composes both services; engines are the mount service's choice",
  },
  "packages/overlayfs-cli": {
    may: ["cli", "mount-control", "native", "runtime", "service-mount"],
    external: ["commander"],
    reason: "another face of the mount command: what it is made of is packages/cli's business",
  },
  "packages/demo": { may: ["native"], external: [], reason: "it drives the command line as a user would, so that it shows what ships" },
  "services/mount": {
    may: [
      "base-record",
      "decision-api",
      "decision-client",
      "engine-devfuse",
      "engine-fuse-native",
      "host-api",
      "id-mapping",
      "journal",
      "keeper-link",
      "layer-tools",
      "mount-control",
      "native",
      "overlay",
      "runtime",
      "vfs",
    ],
    onlyIn: { "layer-tools": "preflight", "host-api": "host", "@grpc/grpc-js": "host" },
    reason: "services never import each other: between them is gRPC, even on one machine; a server loads no tools for layers",
  },
  "services/keeper": {
    may: ["keeper-link", "native", "runtime", "vfs"],
    external: [],
    reason: "it alone needs the privilege to mount: it holds and checks, and knows no policy, overlay or gRPC",
  },
  "services/volume-plugin": {
    may: ["native", "runtime"],
    external: [],
    reason: "it mounts by the command line, as a user would: what a mount is made of is the mount service's business",
  },
  "services/csi": {
    may: ["host-api", "mount-control", "native", "runtime"],
    external: ["@bufbuild/protobuf", "@grpc/grpc-js", "yaml", "zod"],
    reason: "it has its mounts made by a host service, so that it can be replaced under them: no overlay, policy or engine takes part",
  },
  "services/decision": {
    may: ["decision-api", "native", "policy-backends", "runtime"],
    reason: "the decision service knows no overlay, engine or mount: it must run on another machine, without privilege",
  },
};

const EVERY_PACKAGE_MAY = /^node:/;
// A unit test may use the kit and its runner; production code may not.
const TEST_FILE = /\.test\.ts$|(^|\/)testing\//;
const TEST_MODULES = new Set(["vitest", "fast-check", "@sluice/testkit"]);

/** @param {string} module */
function packageOf(module) {
  const parts = module.split("/");
  return module.startsWith("@") ? parts.slice(0, 2).join("/") : (parts[0] ?? module);
}

/**
 * The fault of one import, in a few words, or undefined.
 * @param {string} home "packages/x"
 * @param {string} file relative to the repository
 * @param {string} module
 */
function violationOf(home, file, module) {
  const boundary = BOUNDARIES[home];
  if (!boundary) return `${home} has no entry in the table`;
  if (module.startsWith(".")) {
    const target = normalize(join(dirname(file), module));
    return target.startsWith(`${home}/`) ? undefined : `reaches into ${target}; import the package by name`;
  }
  if (EVERY_PACKAGE_MAY.test(module)) return undefined;
  const name = packageOf(module);
  if (TEST_FILE.test(file) && TEST_MODULES.has(name)) return undefined;
  if (home === "packages/testkit" && TEST_MODULES.has(name)) return undefined;
  return forbiddenPackage(boundary, { home, file, name });
}

/**
 * @param {Boundary} boundary
 * @param {{ home: string, file: string, name: string }} found
 */
function forbiddenPackage(boundary, { home, file, name }) {
  const own = name.startsWith("@sluice/") ? name.slice("@sluice/".length) : undefined;
  const allowed = own !== undefined ? boundary.may.includes(own) : (boundary.external?.includes(name) ?? true);
  if (!allowed) return `may not import ${name}`;
  const folder = boundary.onlyIn?.[own ?? name];
  if (folder === undefined || TEST_FILE.test(file) || file.startsWith(`${home}/src/${folder}/`)) return undefined;
  return `may import ${name} only in src/${folder}/`;
}

/**
 * @param {string} root
 * @returns {string[]} one line a violation
 */
export function checkBoundaries(root) {
  const homes = ["packages", "services"].flatMap((group) => listHomes(root, group));
  return homes.flatMap((home) => {
    const sources = listFiles(root, `${home}/src`).filter((file) => file.endsWith(".ts"));
    return sources.flatMap((file) => violationsOf(root, home, file));
  });
}

/** @param {string} root @param {string} group */
function listHomes(root, group) {
  if (!existsSync(join(root, group))) return [];
  const manifests = listFiles(root, group).filter((file) => /^[^/]+\/[^/]+\/package\.json$/.test(file));
  return manifests.map((file) => dirname(file)).filter((home) => existsSync(join(root, home, "src")));
}

/** @param {string} root @param {string} home @param {string} file */
function violationsOf(root, home, file) {
  return importsOf(root, file).flatMap(({ module, line }) => {
    const wrong = violationOf(home, file, module);
    return wrong ? [`${file}:${line}: ${wrong}\n    why: ${BOUNDARIES[home]?.reason ?? "every package states what it may import"}`] : [];
  });
}
