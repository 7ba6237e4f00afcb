// What programs load at once from the bundle: joining modules must not bring a keeper what it is to know nothing of, nor a mount
// without a policy what takes longer to load than the mount takes to come up.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const BUNDLE = fileURLToPath(new URL("../../bundle/", import.meta.url));
const STATIC_IMPORT = /^(?:import|export)(?:[^;"]*? from)? "(\.[^"]+)"/gm;
/** Before each module that a file holds stands its path. */
const MODULE = /^\/\/ (?:.*node_modules\/((?:@[^/\s]+\/)?[^/\s]+)|((?:packages|services)\/[^/\s]+))\/\S+$/gm;

/** The packages, ours and others, of which a file loads modules at once. */
function loadedBy(path: string): Set<string> {
  const packages = new Set<string>();
  const seen = new Set<string>();
  const pending = [join(BUNDLE, path)];
  for (let file = pending.pop(); file !== undefined; file = pending.pop()) {
    if (seen.has(file)) continue;
    seen.add(file);
    const text = readFileSync(file, "utf8");
    for (const [, other] of text.matchAll(STATIC_IMPORT)) pending.push(join(dirname(file), other as string));
    for (const [, installed, ours] of text.matchAll(MODULE)) packages.add((installed ?? ours) as string);
  }
  return packages;
}

test("a keeper: what it holds mounts with, and no overlay, protocol or package of anybody else", () => {
  const ours = ["packages/cli", "packages/keeper-link", "packages/native", "packages/vfs", "services/keeper"];
  expect([...loadedBy("packages/cli/dist/keeper-main.js")].sort()).toEqual(ours);
});

test("a mount: neither gRPC nor protobuf, which load where somebody is asked, nor YAML, metrics or tracing", () => {
  // What `sluice mount` imports when it is about to serve.
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
  ];
  expect(late.filter((name) => mount.has(name))).toEqual([]);
  expect(loadedBy("chunks/connect.js")).toContain("@grpc/grpc-js");
});
