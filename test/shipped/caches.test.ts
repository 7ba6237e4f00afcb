// The caches of compiled code that the build makes beside the chunks of the bundle: V8 accepts them, and a start without them, or with
// damaged ones, differs in its time alone.
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { runScript, scratch, type ScriptResult } from "@sluice/testkit";
import { beforeAll, expect, test } from "vitest";
import { buildBundle } from "../../packages/dev/build.mjs";
import { STARTED_FUNCTIONS } from "../../packages/dev/bundle.mjs";
import { nameFunctions } from "../../packages/dev/name-functions.mjs";
import { type LoadedChunk, loadedChunks, withoutChunks, writeChunkSpy } from "./chunk-spy.js";

const BUNDLE = fileURLToPath(new URL("../../bundle", import.meta.url));
const MAIN = "packages/cli/dist/main.js";
const POLICY = fileURLToPath(new URL("../../services/decision/presets/agent.yaml", import.meta.url));

interface Checked {
  result: ScriptResult;
  chunks: LoadedChunk[];
}

/** Of `check` on the bundle as it is. */
let whole: Checked;

beforeAll(async () => {
  // `npm test -- FILE` makes no bundle.
  expect(buildBundle()).toBe(true);
  whole = await check(BUNDLE);
  expect(whole.result.code).toBe(0);
});

/** With the chunks that `check` loads, and their caches: copying and making all of them takes several seconds. */
function bundleCopy(): string {
  const copy = join(scratch(), "bundle");
  const loaded = new Set(whole.chunks.map(({ name }) => name));
  const wanted = (path: string): boolean => {
    const name = relative(BUNDLE, path).replace(/\.[a-z-]+\.cache$/, "");
    return !name.startsWith("chunks/") || loaded.has(name) || statSync(path).isDirectory();
  };
  cpSync(BUNDLE, copy, { recursive: true, dereference: true, filter: wanted });
  const starts = JSON.parse(readFileSync(join(copy, "starts.json"), "utf8")) as Record<string, unknown>;
  const own = Object.entries(starts).filter(([name]) => loaded.has(name));
  writeFileSync(join(copy, "starts.json"), JSON.stringify(Object.fromEntries(own)));
  return copy;
}

function chunksOf(bundle: string): string[] {
  const names = readdirSync(join(bundle, "chunks"), { recursive: true, encoding: "utf8" });
  return names.filter((name) => name.endsWith("js")).map((name) => `chunks/${name}`);
}

async function makeCaches(bundle: string): Promise<string[]> {
  const { code, stderr } = await runScript([process.execPath, join(bundle, "make-caches.cjs")]);
  expect([code, stderr]).toEqual([0, ""]);
  return cachesOf(bundle);
}

function cachesOf(bundle: string): string[] {
  const names = readdirSync(join(bundle, "chunks"), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".cache"));
  return names.map((name) => join(bundle, "chunks", name)).sort();
}

async function spied(bundle: string, argv: readonly string[], flags: readonly string[] = []): Promise<Checked> {
  const result = await runScript([process.execPath, ...flags, "--require", writeChunkSpy(scratch()), join(bundle, MAIN), ...argv]);
  return { result: { ...result, stderr: withoutChunks(result.stderr) }, chunks: loadedChunks(result.stderr) };
}

/** Loads much of the bundle, a thread of its own included. */
const check = (bundle: string, ...flags: readonly string[]): Promise<Checked> => spied(bundle, ["policy", "check", POLICY], flags);

test("V8 takes the cache of every chunk that a command, and the server of a mount, load", async () => {
  // It fails after its modules are loaded. By then it has changed the flags of V8.
  const server = await spied(BUNDLE, ["mount", "--lower", "/nowhere", "--policy", POLICY, scratch()]);
  expect(whole.chunks.length).toBeGreaterThan(20);
  expect(server.chunks.map(({ name }) => name)).toContain("chunks/run-mount.js");
  expect([...whole.chunks, ...server.chunks].filter(({ cache }) => cache !== "taken")).toEqual([]);
});

test.each<[string, (cache: Buffer) => Buffer]>([
  ["is empty", () => Buffer.alloc(0)],
  ["is cut off", (cache) => cache.subarray(0, cache.length >> 1)],
  [
    "has one other byte in the middle",
    (cache) => cache.fill(cache.readUInt8(cache.length >> 1) ^ 0x55, cache.length >> 1, (cache.length >> 1) + 1),
  ],
  ["has other bytes in many places", (cache) => cache.map((byte, at) => (at % 40 === 39 ? byte ^ 0x55 : byte)) as Buffer],
  ["belongs to another chunk", () => readFileSync(join(BUNDLE, "chunks", `${MAIN}.initial.cache`))],
])("a program runs the same if each cache %s, and writes none", async (_, damage) => {
  const bundle = bundleCopy();
  const damaged = cachesOf(bundle)
    .filter((path) => !path.includes(MAIN))
    .map((path) => ({ path, data: damage(readFileSync(path)) }));
  for (const { path, data } of damaged) writeFileSync(path, data);
  const { result, chunks } = await check(bundle);
  expect(result).toEqual(whole.result);
  expect(chunks.filter(({ name, cache }) => cache === "taken" && !name.includes(MAIN))).toEqual([]);
  expect(damaged.filter(({ path, data }) => !readFileSync(path).equals(data))).toEqual([]);
});

test("a chunk that was changed in place runs as it is now, and not as its cache has it", async () => {
  const bundle = bundleCopy();
  const chunk = join(bundle, "chunks/version.js");
  const text = readFileSync(chunk, "utf8");
  const changed = text.replace(/"\d+\.\d+\.\d+"/, (version) => `"${version.slice(1, -1).replaceAll(/\d/g, "7")}"`);
  expect([changed.length, changed === text]).toEqual([text.length, false]);
  writeFileSync(chunk, changed);
  expect((await runScript([process.execPath, join(bundle, MAIN), "--version"])).stdout).toMatch(/^[7.]+\n$/);
});

test.each(["--max-old-space-size=300", "--pending-deprecation"])("a program runs the same under %s", async (flag) => {
  // V8 has no cache for the first, and Node would tell of a deprecated call for the second.
  expect((await check(BUNDLE, flag)).result).toEqual(whole.result);
});

const sizeOf = (paths: readonly string[]): number => paths.reduce((sum, path) => sum + statSync(path).size, 0);

test("caches that are made twice, in two folders, have the same bytes, name no folder, and have the functions of starts", async () => {
  const bundles = [bundleCopy(), bundleCopy()];
  const [first = [], second = []] = await Promise.all(bundles.map(makeCaches));
  const differing = first.filter((path, at) => !readFileSync(path).equals(readFileSync(second[at] as string)));
  expect([first.length > 40, first.length - second.length, differing]).toEqual([true, 0, []]);
  for (const [at, paths] of [first, second].entries())
    expect(paths.filter((path) => readFileSync(path).includes(bundles[at] as string))).toEqual([]);
  const size = sizeOf(first);
  writeFileSync(join(bundles[0] as string, "starts.json"), "{}");
  expect(size / sizeOf(await makeCaches(bundles[0] as string))).toBeGreaterThan(1.3);
});

test("most functions of the recorded list are in the bundle: else run 'node packages/dev/record-starts.mjs' as root", () => {
  const listed = readFileSync(STARTED_FUNCTIONS, "utf8").trim().split("\n");
  const present = new Set(
    chunksOf(BUNDLE).flatMap((name) => nameFunctions(readFileSync(join(BUNDLE, name), "utf8")).map((one) => one.name)),
  );
  const lost = listed.filter((name) => !present.has(name));
  expect(listed.length).toBeGreaterThan(1000);
  expect(lost.length / listed.length, `for example ${lost.slice(0, 5).join(", ")}`).toBeLessThan(0.1);
});

/** A bundle of one program. */
function bundleOf(program: string): string {
  const at = scratch();
  mkdirSync(join(at, "chunks"));
  cpSync(join(BUNDLE, "chunk-loader.cjs"), join(at, "chunk-loader.cjs"));
  writeFileSync(join(at, "chunks/program.js"), `exports.default = async function program() {\n${program}\n};`);
  writeFileSync(join(at, "main.cjs"), 'void require("./chunk-loader.cjs").run("program.js");');
  return join(at, "main.cjs");
}

test("a program that fails, or waits for nothing that could happen, ends with the exit code that Node has for it", async () => {
  const exitOf = async (program: string): Promise<number | null> => (await runScript([process.execPath, bundleOf(program)])).code;
  expect(await exitOf("")).toBe(0);
  expect(await exitOf("process.exitCode = 4;")).toBe(4);
  expect(await exitOf("await new Promise(() => undefined);")).toBe(13);
  expect(await exitOf("process.exitCode = 4; await new Promise(() => undefined);")).toBe(4);
  expect(await exitOf("await Promise.reject(new Error('broken'));")).toBe(1);
});

test("V8 has the flags that a program set, after a module of Node is loaded and after none could be", async () => {
  const program = `
    const { cachedDataVersionTag, setFlagsFromString } = require("node:v8");
    setFlagsFromString("--semi-space-growth-factor=1");
    const tag = cachedDataVersionTag();
    require("node:http2");
    try { require("node:none"); } catch {}
    process.exitCode = cachedDataVersionTag() === tag ? 0 : 1;`;
  expect((await runScript([process.execPath, bundleOf(program)])).code).toBe(0);
});

test("an error in a chunk names the file in the bundle and the line", async () => {
  const { stderr } = await runScript([process.execPath, bundleOf("throw new Error('broken');")]);
  expect(stderr).toMatch(/Error: broken\n +at .* \(chunks\/program\.js:2:7\)\n/);
});
