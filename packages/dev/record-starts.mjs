// Writes started-functions.txt: the functions that programs of the bundle call when they start, serve a little and end. The caches of
// compiled code hold them (make-caches.cjs). Run by hand, as root, after a build, if the test of the list says that it is out of date.
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildBundle, root } from "./build.mjs";
import { STARTED_FUNCTIONS } from "./bundle.mjs";
import { nameFunctions } from "./name-functions.mjs";

/** Any but root. */
const USER = 1000;

/** CEL is loaded for a condition alone. */
const CONDITIONAL = {
  name: "conditional.yaml",
  text: `version: 1
default: grant
rules:
  - { name: r, when: "resource.size > 1000 && resource.path.startsWith('x') || subject.uid in [1, 2]", effect: mediate }
`,
};

/** @type {{ WRAPPER: string }} */
const { WRAPPER } = createRequire(import.meta.url)("./chunk-loader.cjs");

/** Each process writes down its calls at its end. @param {string} into a directory */
const recorder = (into) => `
const { Session } = require("node:inspector");
const session = new Session();
session.connect();
session.post("Profiler.enable");
session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false });
process.on("exit", () =>
  session.post("Profiler.takePreciseCoverage", (_, { result }) => {
    const chunks = result.filter(({ url }) => url.startsWith("chunks/"));
    require("node:fs").writeFileSync(${JSON.stringify(into)} + "/" + process.pid + "-" + Date.now(), JSON.stringify(chunks));
  }));
`;

/** @param {string} at @returns {string} the programs to record */
function script(at) {
  const sluice = `"${process.execPath}" "${at}/bundle/packages/cli/dist/main.js"`;
  const overlayfs = `"${process.execPath}" "${at}/bundle/packages/overlayfs-cli/dist/overlayfs-main.js"`;
  const policy = `"${at}/bundle/services/decision/presets/agent.yaml"`;
  const layers = `--lower "${at}/lower" --upper "${at}/upper" --work "${at}/work"`;
  const mounted = (/** @type {string} */ options) => `
    rm -rf "${at}/upper" "${at}/work"; mkdir "${at}/upper" "${at}/work"
    ${sluice} mount --background --log-file "${at}/log" ${layers} ${options} "${at}/view"
    ${sluice} status "${at}/view"
    work "${at}/view"
    ${sluice} unmount "${at}/view"`;
  const session = (/** @type {string} */ service) =>
    `run --host-service "${service}" --on-exit discard -- sh -c 'ls -l; echo changed >>a; mkdir new; cat .env; rm a; true'`;
  const asUser = `setpriv --reuid ${USER} --regid ${USER} --clear-groups env HOME="${at}/home"`;
  return `set -e
    trap 'umount -lq "${at}/view" || true; jobs -p | xargs -r kill' EXIT
    unset NODE_EXTRA_CA_CERTS
    work() { cd "$1"; ls -l . directory; cat a; echo changed >>a; mkdir new; echo new >new/file; mv new/file b; ln b c; rm -r a new c; cd /; }
    ${mounted("")}
    ${mounted(`--policy ${policy}`)}
    ${mounted(`--policy "${at}/${CONDITIONAL.name}"`)}
    ${mounted(`--policy ${policy} --keeper on`)}
    ${overlayfs} -o "lowerdir=${at}/lower" "${at}/view"
    ls -l "${at}/view"
    umount "${at}/view"
    cd "${at}/project"
    ${sluice} ${session("off")}
    ${asUser} ${sluice} ${session("off")}
    ${sluice} serve --socket "${at}/host.sock" --user-mounts 4 &
    until [ -e "${at}/users.sock" ]; do sleep 0.1; done
    ${sluice} ${session(`${at}/host.sock`)}
    ${asUser} ${sluice} ${session(`${at}/host.sock`)}
    kill $!
    wait`;
}

/** @param {string} at */
function prepare(at) {
  chmodSync(at, 0o755);
  for (const name of ["lower/directory", "view", "home", "project"]) mkdirSync(join(at, name), { recursive: true });
  for (const name of ["lower/a", "lower/directory/x", "project/a", "project/.env"]) writeFileSync(join(at, name), "some text\n");
  writeFileSync(join(at, CONDITIONAL.name), CONDITIONAL.text);
  mkdirSync(join(at, "called"));
  chmodSync(join(at, "called"), 0o777);
  for (const name of ["home", "project", "project/a", "project/.env"]) chownSync(join(at, name), USER, USER);
  cpSync(join(root, "bundle"), join(at, "bundle"), { recursive: true, dereference: true, filter: (path) => !path.endsWith(".cache") });
  symlinkSync(join(root, "node_modules"), join(at, "node_modules"));
  const loader = join(at, "bundle/chunk-loader.cjs");
  writeFileSync(loader, recorder(join(at, "called")) + readFileSync(loader, "utf8"));
}

/** @typedef {{ url: string, functions: { ranges: [{ startOffset: number, endOffset: number, count: number }] }[] }} Chunk as V8 covers it */

/** @param {string} at @param {Chunk} chunk @param {Map<string, import("./name-functions.mjs").NamedFunction[]>} known by chunk @returns {string[]} */
function namesOf(at, { url, functions }, known) {
  const named = known.get(url) ?? nameFunctions(readFileSync(join(at, "bundle", url), "utf8"));
  known.set(url, named);
  return functions
    .filter(({ ranges: [{ count }] }) => count > 0)
    .flatMap(({ ranges: [{ startOffset, endOffset }] }) => {
      const start = startOffset - WRAPPER.length;
      const ending = named.filter(({ end }) => end === endOffset - WRAPPER.length);
      return ending.sort((a, b) => Math.abs(a.inside - start) - Math.abs(b.inside - start))[0]?.name ?? [];
    });
}

if (!buildBundle()) throw new Error("the bundle cannot be made: see above");
const at = mkdtempSync(join(tmpdir(), "sluice-starts-"));
try {
  prepare(at);
  const { status } = spawnSync("bash", ["-c", script(at)], { stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) throw new Error("a program failed: see above");
  const known = new Map();
  const chunks = readdirSync(join(at, "called")).flatMap((name) => JSON.parse(readFileSync(join(at, "called", name), "utf8")));
  const names = new Set(chunks.flatMap((chunk) => namesOf(at, chunk, known)));
  writeFileSync(STARTED_FUNCTIONS, `${[...names].sort().join("\n")}\n`);
} finally {
  rmSync(at, { recursive: true, force: true });
}
