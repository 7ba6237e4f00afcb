// The modules that programs load at once from the bundle: joining them must not bring a keeper code that it should not know,
// nor a mount without a policy modules that take longer to load than the mount takes to come up.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { runScript } from "@sluice/testkit";
import { beforeAll, expect, test } from "vitest";
import { buildBundle } from "../../packages/dev/build.mjs";

const BUNDLE = fileURLToPath(new URL("../../bundle/", import.meta.url));
const STATIC_IMPORT = /^(?:import|export)(?:[^;"]*? from)? "(\.[^"]+)"/gm;
/** Before each module that a file holds stands its path. */
const MODULE = /^\/\/ (?:.*node_modules\/((?:@[^/\s]+\/)?[^/\s]+)|((?:packages|services)\/[^/\s]+))\/\S+$/gm;

// `npm test -- FILE` makes no bundle.
beforeAll(() => expect(buildBundle()).toBe(true));

/** The packages, ours and others, of which a file holds modules. */
function packagesIn(file: string): string[] {
  return [...readFileSync(file, "utf8").matchAll(MODULE)].map(([, installed, ours]) => (installed ?? ours) as string);
}

/** The packages of which a file loads modules at once. */
function loadedBy(path: string): Set<string> {
  const packages = new Set<string>();
  const seen = new Set<string>();
  const pending = [join(BUNDLE, path)];
  for (let file = pending.pop(); file !== undefined; file = pending.pop()) {
    if (seen.has(file)) continue;
    seen.add(file);
    const text = readFileSync(file, "utf8");
    for (const [, other] of text.matchAll(STATIC_IMPORT)) pending.push(join(dirname(file), other as string));
    for (const name of packagesIn(file)) packages.add(name);
  }
  return packages;
}

const HOOK = `data:text/javascript,export async function load(url, context, next) { process._rawDebug(url); return next(url, context); }`;
const REGISTER = `data:text/javascript,import { register } from "node:module"; register(${JSON.stringify(HOOK)});`;

/** The packages of which a command loads modules until it ends. */
async function loadedWhile(...args: readonly string[]): Promise<string[]> {
  const main = join(BUNDLE, "packages/cli/dist/main.js");
  const { stderr } = await runScript([process.execPath, "--import", REGISTER, main, ...args]);
  const files = stderr.split("\n").filter((line) => line.startsWith(pathToFileURL(BUNDLE).href));
  expect(files.length).toBeGreaterThan(5);
  return [...new Set(files.flatMap((url) => packagesIn(fileURLToPath(url))))].sort();
}

test("help, status and unmount: the definitions of commands, and nothing of what the others need", async () => {
  const installed = (names: readonly string[]): string[] => names.filter((name) => !/^(packages|services)\//.test(name));
  for (const args of [["--help"], ["policy", "--help"], ["status", "/nowhere"], ["unmount", "/nowhere"]])
    expect(installed(await loadedWhile(...args)), args[0]).toEqual(["commander"]);
  expect(await loadedWhile("--help")).not.toContain("packages/policy-backends");
  const status = await loadedWhile("status", "/nowhere");
  for (const name of ["services/decision", "services/mount", "packages/layer-tools", "packages/top"]) expect(status).not.toContain(name);
  expect(installed(await loadedWhile("policy", "check", "/nowhere"))).toContain("yaml");
});

test("a keeper loads the code that it mounts with, and no overlay, protocol or other package", () => {
  const ours = ["packages/cli", "packages/keeper-link", "packages/native", "packages/vfs", "services/keeper"];
  expect([...loadedBy("packages/cli/dist/keeper-main.js")].sort()).toEqual(ours);
});

test("a mount loads neither gRPC nor protobuf before somebody is asked, nor YAML, metrics or tracing", () => {
  // The imports of `sluice mount` when it is about to serve.
  const mount = loadedBy("chunks/run-mount.js");
  expect(mount).toContain("packages/overlay");
  const late = [
    "@grpc/grpc-js",
    "@bufbuild/protobuf",
    "yaml",
    "prom-client",
    "zod",
    "@opentelemetry/sdk-trace-base",
    "packages/policy-backends",
    "packages/top",
  ];
  expect(late.filter((name) => mount.has(name))).toEqual([]);
  expect(loadedBy("chunks/connect.js")).toContain("@grpc/grpc-js");
});
