import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import type { PolicyBackend } from "../backend.js";
import { backendContract } from "../contract-suite.js";
import { wholeQuestion } from "../testing/standard-policy.js";
import { openPolicyFile } from "../file-backend.js";

const MODULE = fileURLToPath(new URL("./fixture/standard.wasm", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "sluice-opa-wasm-"));
afterAll(() => rmSync(directory, { recursive: true }));
const opened: PolicyBackend[] = [];
afterEach(async () => {
  for (const backend of opened.splice(0)) await backend.dispose();
});
let files = 0;

function tar(entries: Readonly<Record<string, Buffer>>): Buffer {
  const blocks = Object.entries(entries).flatMap(([name, content]) => {
    const header = Buffer.alloc(512);
    header.write(name);
    header.write(content.length.toString(8).padStart(11, "0"), 124);
    header.write("0", 156);
    return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

function bundle(bytes: Buffer): string {
  const path = join(directory, `b${files++}.tar.gz`);
  writeFileSync(path, bytes);
  return path;
}
function file(path: string, options = ""): string {
  const policy = join(directory, `p${files++}.yaml`);
  writeFileSync(policy, `kind: opa-wasm\nbundle: ${path}\nneeds: {executable: true, xattrs: [user.class]}\nthreads: 1\n${options}`);
  return policy;
}
async function open(path: string, options = ""): Promise<PolicyBackend> {
  const backend = await openPolicyFile(file(path, options));
  opened.push(backend);
  return backend;
}

backendContract("opa-wasm", () => openPolicyFile(file(MODULE)));

describe("opa-wasm", () => {
  it("refuses a signed bundle, unless it is told to skip the signatures", async () => {
    const signed = { "/.signatures.json": Buffer.from('{"signatures": ["x.y.z"]}'), "/policy.wasm": readFileSync(MODULE) };
    const path = bundle(gzipSync(tar(signed)));
    await expect(open(path)).rejects.toThrow(
      /:2:9: .*\.signatures\.json, which nothing here verifies: write skipVerify: true to ignore it/,
    );
    expect(await (await open(path, "skipVerify: true\n")).policy.evaluate(wholeQuestion())).toMatchObject({ effect: "grant" });
  });

  it("takes a bundle, and one of several entry points", async () => {
    const path = bundle(gzipSync(tar({ "/data.json": Buffer.from("{}"), "/policy.wasm": readFileSync(MODULE) })));
    expect(await (await open(path)).policy.evaluate(wholeQuestion())).toMatchObject({ effect: "grant" });
    expect(await (await open(path, "entrypoint: sluice/nothing\n")).policy.evaluate(wholeQuestion())).toMatchObject({
      effect: "deny",
      rule: "default",
    });
    await expect(open(path, "entrypoint: sluice/x\n")).rejects.toThrow(
      /:2:9: .* no entry point 'sluice\/x': use one of sluice\/decision, sluice\/nothing/,
    );
  });

  it.each([
    ["something else", Buffer.from("hello"), /no WebAssembly module of OPA/],
    ["a module of something else", Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]), /does not keep to version 1.2 of OPA's ABI/],
    ["a bundle without a module", gzipSync(tar({ "data.json": Buffer.from("{}") })), /holds no policy.wasm/],
    [
      "a bundle with data that is not UTF-8",
      gzipSync(tar({ "data.json": Buffer.from('{"a":\n"\xe9"}', "latin1"), "policy.wasm": Buffer.alloc(1) })),
      /data.json of the bundle is not UTF-8 \(line 2, column 2\): save it as UTF-8/,
    ],
    [
      "a bundle with data that is cut off",
      gzipSync(tar({ "data.json": Buffer.from('{"blocked": {"alice": true}'), "policy.wasm": readFileSync(MODULE) })),
      /data.json of the bundle is no JSON \(.*\): rebuild the bundle/,
    ],
    [
      "a bundle with data that is a list",
      gzipSync(tar({ "data.json": Buffer.from("[]"), "policy.wasm": readFileSync(MODULE) })),
      /data.json of the bundle is no object: rebuild the bundle/,
    ],
    ["a broken archive", gzipSync(Buffer.alloc(600, 0x41)), /archive is broken/],
    ["a broken gzip", Buffer.from([0x1f, 0x8b, 8, 0, 1]), /no gzip/],
    ["a bundle that unpacks to very much", gzipSync(Buffer.alloc(100 * 1024 * 1024)), /unpacks to more than/],
    ["a bundle of 100 MB", Buffer.alloc(100 * 1024 * 1024), /larger than \d+ bytes/],
  ])("refuses %s", async (_, bytes, message) => {
    await expect(open(bundle(bytes))).rejects.toThrow(message);
  });

  it("ends what does not end, answers those behind it, and goes on", async () => {
    const { policy } = await open(MODULE, "timeBudget: 300ms\n");
    const endless = policy.evaluate(wholeQuestion({ paths: ["endless/a"] }));
    const behind = policy.evaluate(wholeQuestion({ paths: ["secret/a"] }));
    await expect(endless).rejects.toThrow(/took more than 300 ms/);
    expect(await behind).toMatchObject({ effect: "deny" });
    expect(await policy.evaluate(wholeQuestion())).toMatchObject({ effect: "grant" });
  });

  it("tells of a policy that breaks or gives up, and goes on", async () => {
    const { policy } = await open(MODULE);
    await expect(policy.evaluate(wholeQuestion({ paths: ["broken/a"] }))).rejects.toThrow(/unreachable/);
    await expect(policy.evaluate(wholeQuestion({ paths: ["abort/a"] }))).rejects.toThrow(/the policy gives up/);
    expect(await policy.evaluate(wholeQuestion())).toMatchObject({ effect: "grant" });
  });

  it("takes a bundle that was replaced, and keeps the one in force where the new one is none", async () => {
    const path = bundle(gzipSync(tar({ "policy.wasm": readFileSync(MODULE) })));
    const backend = await open(path);
    const before = backend.policy;
    const refreshed = async (): Promise<string> => {
      const hinted = new Promise<void>((resolve) => backend.onHint?.(resolve));
      backend.refresh();
      await hinted;
      return backend.refresh().state;
    };
    writeFileSync(path, "nonsense");
    expect(await refreshed()).toBe("failed");
    expect(backend.policy).toBe(before);
    copyFileSync(MODULE, path);
    expect(await refreshed()).toBe("changed");
    expect(backend.failure).toBeUndefined();
    expect(await backend.policy.evaluate(wholeQuestion())).toMatchObject({ effect: "grant" });
  });
});
