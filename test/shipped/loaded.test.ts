// Modules that programs load at their start from the bundle. Joining modules must not load parts into a keeper that it does not
// need, nor parts into a mount without a policy whose loading takes longer than its start.
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { compileFunction } from "node:vm";
import { runScript, scratch } from "@sluice/testkit";
import { beforeAll, expect, test } from "vitest";
import { buildBundle } from "../../packages/dev/build.mjs";
import { LOADED_LATE } from "../../packages/dev/bundle.mjs";
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
  // A mount point, which is no session.
  const status = await loadedWhile("status", "/proc");
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
  const ours = ["packages/cli", "packages/keeper-link", "packages/native", "packages/runtime", "packages/vfs", "services/keeper"];
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

test("a short session loads no module that few sessions need", async () => {
  const loaded = await chunksWhile("run", "--host-service", "off", "--resume", "none", "--", "true");
  expect(LOADED_LATE.filter((path) => loaded.includes(`chunks/${path}`))).toEqual([]);
});

test("no chunk loads a module that is loaded late when it is loaded itself", async () => {
  const text = `
    const { CHUNKS, load, loaded } = require(${JSON.stringify(join(BUNDLE, "chunk-loader.cjs"))});
    const late = new Set(process.argv.slice(1).map((path) => CHUNKS + "/" + path));
    for (const name of require("node:fs").readdirSync(CHUNKS, { recursive: true })) {
      const file = CHUNKS + "/" + name;
      if (!name.endsWith("js") || late.has(file)) continue;
      try {
        load(file);
      } catch (error) {
        // A package outside of the bundle is not installed.
        if (error.code !== "MODULE_NOT_FOUND") throw error;
      }
    }
    console.log(loaded.size, JSON.stringify([...late].filter((file) => loaded.has(file))));`;
  const { stderr, stdout } = await runScript([process.execPath, "-e", text, ...LOADED_LATE]);
  expect(stderr).toBe("");
  const [, count, early] = /^(\d+) (.*)\n$/.exec(stdout) ?? [];
  expect(Number(count)).toBeGreaterThan(100);
  expect(early).toBe("[]");
});

const LATE_A = { name: "chunk.js", find: (path: string) => (path === "late:a" ? "./a.js" : undefined), held: ["./a.js", "./c.js"] };

/** Runs the text of a chunk, as the loader does. */
function runChunk(text: string, chunks: Record<string, object>): { exports: Record<string, unknown>; loaded: string[] } {
  const loaded: string[] = [];
  const load = (path: string): object => {
    loaded.push(path);
    return chunks[path] as object;
  };
  const late = (names: Record<string, string>, held: readonly string[]): object => {
    expect(held).toEqual(LATE_A.held);
    return Object.defineProperties({}, Object.fromEntries(Object.entries(names).map(([name, path]) => [name, { get: () => load(path) }])));
  };
  const exports: Record<string, unknown> = {};
  (compileFunction(text, ["exports", "require"]) as (...given: unknown[]) => void)(exports, Object.assign(load, { late }));
  return { exports, loaded };
}

test("a late chunk is loaded by its first use: a call, a new object, a field of one, and a class that extends one of it", () => {
  const text = `
    let late_a = require("late:a");
    const require_b = require("./b.js");
    exports.early = require_b.value;
    exports.call = () => late_a.twice(2);
    exports.make = () => new late_a.Point(3).x;
    exports.extend = () => new (class extends late_a.Point {})(4).x;
    class Field { point = new late_a.Point(5); }
    exports.field = () => new Field().point.x;
    exports.names = () => ({ late_a: 1 }).late_a;`;
  class Point {
    constructor(readonly x: number) {}
  }
  const chunks = { "./a.js": { twice: (n: number) => 2 * n, Point }, "./b.js": { value: 1 } };
  const { exports, loaded } = runChunk(loadLate(text, LATE_A), chunks);
  expect(loaded).toEqual(["./b.js"]);
  const called = ["names", "call", "make", "extend", "field"].map((name) => (exports[name] as () => unknown)());
  expect(called).toEqual([1, 4, 3, 4, 5]);
  expect(loaded).toContain("./a.js");
});

test.each([
  "exports.value = late_a.twice(2);",
  "class Derived extends late_a.Point {}",
  "class Holder { static point = late_a.origin; }",
  "const other = late_a;",
  'if (exports) require("late:a");',
])("the build fails if a chunk uses a late one while it is loaded itself: %s", (use) => {
  expect(() => loadLate(`let late_a = require("late:a");\n${use}`, LATE_A)).toThrow("chunk.js uses ./a.js while it is loaded itself");
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

interface Loader {
  load(file: string): { useB(): string };
  held: Map<string, unknown>;
  loaded: Map<string, unknown>;
}

/** Chunks that load each other late, from a to c, and a loader of their own. */
function lateChunks(): { at: string; loader: Loader; write(name: string, build: string, text: string): void } {
  const at = scratch();
  const loader = join(at, "loader.cjs");
  copyFileSync(join(BUNDLE, "../packages/dev/chunk-loader.cjs"), loader);
  const write = (name: string, build: string, text: string): void =>
    writeFileSync(join(at, name), `// build ${build.repeat(16).slice(0, 16)}\n${text}`);
  write("a.js", "1", 'const late = require.late({ b: "./b.js" }, ["./b.js", "./c.js"]); exports.useB = () => late.b.name();');
  write("b.js", "1", 'const c = require("./c.js"); exports.name = () => "b" + c.name;');
  write("c.js", "1", 'exports.name = "c";');
  return { at, write, loader: createRequire(import.meta.url)(loader) as Loader };
}

test("a program that goes on for some seconds holds its late chunks, and uses them after a new version replaced or removed them", async () => {
  const { at, loader, write } = lateChunks();
  const { useB } = loader.load(join(at, "a.js"));
  await expect.poll(() => loader.held.size).toBe(2);
  expect(loader.loaded.size).toBe(1);
  write("b.js", "2", 'exports.name = () => "another build";');
  rmSync(join(at, "c.js"));
  expect(useB()).toBe("bc");
  expect(loader.held.size).toBe(0);
});

test("a chunk of another build is not loaded, and the error names it and the remedy", () => {
  const { at, loader, write } = lateChunks();
  const { useB } = loader.load(join(at, "a.js"));
  write("c.js", "2", 'exports.name = "c";');
  expect(useB).toThrow(/c\.js: another build of Sluice has replaced the file \(ESTALE\).*: restart it.*'sluice upgrade'/);
  rmSync(join(at, "c.js"));
  expect(useB).toThrow(/c\.js: the file was removed \(ENOENT\).*: restart it.*'sluice upgrade'/);
  // A build with the same content is the same.
  write("c.js", "1", 'exports.name = "c";');
  expect(useB()).toBe("bc");
});
