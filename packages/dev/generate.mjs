// Checks proto/ (lint, format, no breaking change against the stored image) and regenerates the code of each contract in its
// package. Then it regenerates the rule reference in docs/ from the schema of packages/policy-backends.
// `--check` writes nothing; it fails and names the files that are out of step.
// `--accept` stores the current contract as the baseline that later changes may not break.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const proto = join(root, "proto");
const baseline = "sluice-v1.binpb";
const contracts = [
  { path: "sluice/decision", gen: "packages/decision-api/src/gen" },
  { path: "sluice/host", gen: "packages/host-api/src/gen" },
  { path: "csi", gen: "services/csi/src/gen" },
  { path: "grpc/health", gen: "services/decision/src/gen" },
];

function buf(args, remedy) {
  const done = spawnSync(join(root, "node_modules/.bin/buf"), args, { cwd: proto, stdio: ["ignore", "inherit", "inherit"] });
  if (done.error) fail(`proto: buf cannot be run (${done.error.message}): run 'npm ci'`);
  if (done.status !== 0) fail(`proto: 'buf ${args.join(" ")}' failed: ${remedy}`);
}

function fail(sentence) {
  process.stderr.write(`${sentence}\n`);
  process.exit(1);
}

/** Relative name → content of every file below `directory`. */
function filesOf(directory) {
  const files = new Map();
  if (!existsSync(directory)) return files;
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files.set(relative(directory, path), readFileSync(path, "utf8"));
  }
  return files;
}

function outOfStep(wanted, present) {
  const names = [];
  for (const [name, content] of wanted) if (present.get(name) !== content) names.push(present.has(name) ? name : `${name} (missing)`);
  for (const name of present.keys()) if (!wanted.has(name)) names.push(`${name} (left over)`);
  return names.sort((a, b) => (a < b ? -1 : 1));
}

/** The plugin's output directory is fixed in buf.gen.yaml: a template with another one is made from it. */
function generateInto(directory, path) {
  const template = readFileSync(join(proto, "buf.gen.yaml"), "utf8").replace(/^(\s*out:).*$/m, `$1 ${directory}`);
  const scratch = mkdtempSync(join(tmpdir(), "sluice-generate-"));
  try {
    const file = join(scratch, "buf.gen.yaml");
    writeFileSync(file, template);
    buf(["generate", "--include-imports", "--path", path, "--template", file], "repair the file it names");
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function check() {
  buf(["format", "--diff", "--exit-code"], "run 'npm run generate'");
  for (const contract of contracts) checkContract(contract);
}

function checkContract({ path, gen }) {
  const scratch = mkdtempSync(join(tmpdir(), "sluice-gen-"));
  try {
    generateInto(scratch, path);
    const names = outOfStep(filesOf(scratch), filesOf(join(root, gen)));
    if (names.length > 0) fail(`${gen}: not in step with proto/: ${names.join(", ")}: run 'npm run generate'`);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** A module of packages/dev loads the compiled package, so it is compiled first. */
async function ruleReference() {
  const done = spawnSync(join(root, "node_modules/.bin/tsc"), ["-b", "packages/policy-backends"], { cwd: root, stdio: "inherit" });
  if (done.status !== 0) fail("packages/policy-backends: 'tsc -b' failed: repair the lines it names");
  return (await import("./rule-reference.mjs")).ruleReference(root);
}

function checkRuleReference(files) {
  const names = [...files].filter(([name, content]) => !existsSync(join(root, name)) || readFileSync(join(root, name), "utf8") !== content);
  if (names.length > 0) fail(`${names.map(([name]) => name).join(", ")}: not in step with the schema of rules: run 'npm run generate'`);
}

function writeRuleReference(files) {
  for (const [name, content] of files) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), content);
  }
}

buf(["lint"], "repair the lines it names");
if (process.argv.includes("--accept")) buf(["build", "-o", baseline], "repair the file it names");
buf(["breaking", "--against", baseline], "keep the field or name that it misses, or store a new baseline with --accept");
if (process.argv.includes("--check")) {
  check();
  checkRuleReference(await ruleReference());
} else {
  buf(["format", "-w"], "repair the file it names");
  for (const { path, gen } of contracts) {
    rmSync(join(root, gen), { recursive: true, force: true });
    generateInto(join(root, gen), path);
  }
  writeRuleReference(await ruleReference());
}
