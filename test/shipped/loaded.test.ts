// Modules that programs load at their start from the bundle. Joining modules must not load parts into a keeper that it does not
// need, nor parts into a mount without a policy whose loading takes longer than its start.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { compileFunction } from "node:vm";
import { runScript, scratch } from "@sluice/testkit";
import { beforeAll, expect, test } from "vitest";
import { buildBundle } from "../../packages/dev/build.mjs";
import { loadLate } from "../../packages/dev/late-chunks.mjs";
import { loadedChunks, writeChunkSpy } from "./chunk-spy.js";

const BUNDLE = fileURLToPath(new URL("../../bundle/", import.meta.url));
/** An import at the start; one that is made later stands in a function. */
const STATIC_IMPORT = /^(?:(?:const|var) [\w$]+ = )?require\("(\.[^"]+)"\)/gm;
/** Before each module in a file stands its path. */
const MODULE = /^\/\/ (?:.*node_modules\/((?:@[^/\s]+\/)?[^/\s]+)|((?:packages|services)\/[^/\s]+))\/\S+$/gm;

// `npm test -- FILE` makes no bundle.
beforeAll(() => expect(buildBundle()).toBe(true));

/** The packages, ours and others, whose modules a file holds. */
function packagesIn(file: string): string[] {
  return [...readFileSync(file, "utf8").matchAll(MODULE)].map(([, installed, ours]) => (installed ?? ours) as string);
}

/** The packages whose modules a file loads at its start. */
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

/** The chunks that a command loads before it ends. */
async function chunksWhile(...args: readonly string[]): Promise<string[]> {
  const main = join(BUNDLE, "packages/cli/dist/main.js");
  const { stderr } = await runScript([process.execPath, "--require", writeChunkSpy(scratch()), main, ...args]);
  const files = loadedChunks(stderr).map(({ name }) => name);
  expect(files.length).toBeGreaterThan(5);
  return files;
}

/** The packages whose modules a command loads before it ends. */
async function loadedWhile(...args: readonly string[]): Promise<string[]> {
  const files = await chunksWhile(...args);
  return [...new Set(files.flatMap((name) => packagesIn(join(BUNDLE, name))))].sort();
}

test("help, status and unmount load the definitions of commands, and no module of other commands", async () => {
  const installed = (names: readonly string[]): string[] => names.filter((name) => !/^(packages|services)\//.test(name));
  for (const args of [["--help"], ["policy", "--help"], ["status"], ["status", "/nowhere"], ["unmount", "/nowhere"]])
    expect(installed(await loadedWhile(...args)), args[0]).toEqual(["commander"]);
  expect(await loadedWhile("--help")).not.toContain("packages/policy-backends");
  const status = await loadedWhile("status", "/nowhere");
  for (const name of ["services/decision", "services/mount", "packages/layer-tools", "packages/top"]) expect(status).not.toContain(name);
  expect(installed(await loadedWhile("policy", "check", "/nowhere"))).toContain("yaml");
});

test("a command starts without Node's loader of ES modules, which takes a fifth of a short command's time", async () => {
  const told = join(scratch(), "told.cjs");
  writeFileSync(told, 'process.on("exit", () => process._rawDebug(process.moduleLoadList.join("\\n")));');
  for (const bin of [join(BUNDLE, "../packages/cli/bin/sluice.cjs"), join(BUNDLE, "packages/cli/bin/sluice.cjs")]) {
    const { stderr } = await runScript([process.execPath, "--require", told, bin, "--version"]);
    expect(stderr).toContain("NativeModule internal/modules/cjs/loader");
    expect(stderr).not.toContain("NativeModule internal/modules/esm/translators");
  }
});

test("a keeper loads modules for its mounts, and no overlay, protocol or foreign package", () => {
  const ours = ["packages/cli", "packages/keeper-link", "packages/native", "packages/vfs", "services/keeper"];
  expect([...loadedBy("chunks/packages/cli/dist/keeper-main.js")].sort()).toEqual(ours);
});

test("a mount loads neither gRPC nor protobuf, which load with a decision service, nor YAML, metrics or tracing", () => {
  // The imports of `sluice mount` shortly before it serves.
  const mount = new Set([...loadedBy("chunks/run-mount.js"), ...loadedBy("chunks/start-filesystem.js")]);
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

test("a command that looks for a session loads no module that reads or compares layers", async () => {
  const loaded = await chunksWhile("run", "--host-service", "off", "--resume", "none", "--", "true");
  for (const name of ["chunks/layer-stack.js", "chunks/write-layer.js"]) {
    expect(packagesIn(join(BUNDLE, name))).toContain("packages/layer-tools");
    expect(loaded).not.toContain(name);
  }
});

/** Runs the text of a chunk, as the loader does. */
function runChunk(text: string, chunks: Record<string, object>): { exports: Record<string, unknown>; loaded: string[] } {
  const loaded: string[] = [];
  const load = (path: string): object => {
    loaded.push(path);
    return chunks[path] as object;
  };
  const late = (names: Record<string, string>): object =>
    Object.defineProperties({}, Object.fromEntries(Object.entries(names).map(([name, path]) => [name, { get: () => load(path) }])));
  const exports: Record<string, unknown> = {};
  (compileFunction(text, ["exports", "require"]) as (...given: unknown[]) => void)(exports, Object.assign(load, { late }));
  return { exports, loaded };
}

test("a late chunk is loaded by its first use: a call, a new object, and a class that extends one of it", () => {
  const text = `
    const require_a = require("./a.js");
    const require_b = require("./b.js");
    exports.early = require_b.value;
    exports.call = () => require_a.twice(2);
    exports.make = () => new require_a.Point(3).x;
    exports.extend = () => new (class extends require_a.Point {})(4).x;
    exports.names = () => ({ require_a: 1 }).require_a;`;
  class Point {
    constructor(readonly x: number) {}
  }
  const chunks = { "./a.js": { twice: (n: number) => 2 * n, Point }, "./b.js": { value: 1 } };
  const { exports, loaded } = runChunk(
    loadLate(text, (path) => path === "./a.js"),
    chunks,
  );
  expect(loaded).toEqual(["./b.js"]);
  const called = ["names", "call", "make", "extend"].map((name) => (exports[name] as () => unknown)());
  expect(called).toEqual([1, 4, 3, 4]);
  expect(loaded).toContain("./a.js");
});

test("a policy loads CEL if it has a condition, and not otherwise", async () => {
  const checking = (when: string): Promise<string[]> => {
    const file = join(scratch(), "policy.yaml");
    writeFileSync(file, `version: 1\ndefault: grant\nrules:\n  - { name: large, ${when}effect: mediate }\n`);
    return loadedWhile("policy", "check", file);
  };
  expect(await checking("path: a, ")).not.toContain("@bufbuild/cel");
  expect(await checking("when: resource.size > 1, ")).toContain("@bufbuild/cel");
});

test("gRPC is loaded without the packages that read .proto files", () => {
  const loaded = loadedBy("chunks/connect.js");
  expect(loaded).toContain("@grpc/grpc-js");
  for (const name of ["@grpc/proto-loader", "protobufjs", "long"]) expect(loaded).not.toContain(name);
});

test("a program that goes on for some seconds loads its late chunks, and those of these, before a new version replaces them", async () => {
  const at = scratch();
  writeFileSync(join(at, "a.js"), 'const late = require.late({ b: "./b.js" }); exports.useB = () => late.b.name;');
  writeFileSync(join(at, "b.js"), 'const late = require.late({ c: "./c.js" }); exports.name = "b"; exports.useC = () => late.c.name;');
  writeFileSync(join(at, "c.js"), 'exports.name = "c";');
  const loader = createRequire(import.meta.url)("../../packages/dev/chunk-loader.cjs") as {
    load(file: string): { useB(): string };
    loaded: Map<string, unknown>;
  };
  const { useB } = loader.load(join(at, "a.js"));
  expect(loader.loaded.has(join(at, "b.js"))).toBe(false);
  await expect.poll(() => loader.loaded.has(join(at, "c.js"))).toBe(true);
  writeFileSync(join(at, "b.js"), 'exports.name = "another version";');
  expect(useB()).toBe("b");
});
