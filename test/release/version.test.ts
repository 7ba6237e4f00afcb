import { execFileSync } from "node:child_process";
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { requires, scratch } from "@sluice/testkit";
import { expect, test } from "vitest";
import { setVersion } from "../../packages/dev/version.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

requires("command git").test("a new version is in every package, the lock file, the program, the manifests and the changelog", () => {
  const copy = scratch();
  const tracked = execFileSync("git", ["-c", `safe.directory=${ROOT.replace(/\/$/, "")}`, "ls-files"], { cwd: ROOT, encoding: "utf8" });
  const versioned = tracked.split("\n").filter((file) => /(^|\/)(package(-lock)?\.json|version\.ts|CHANGELOG\.md|\w+\.ya?ml)$/.test(file));
  for (const file of versioned) cpSync(join(ROOT, file), join(copy, file));
  const { version: before } = JSON.parse(readFileSync(join(copy, "package.json"), "utf8")) as { version: string };
  const changed = setVersion(copy, "9.8.7");
  expect(changed).toEqual(expect.arrayContaining(["package-lock.json", "services/mount/package.json", "deploy/k8s/chart/Chart.yaml"]));
  const ours = new RegExp(`"(@sluice/[^"]+|version)": "${before.replaceAll(".", "\\.")}"`);
  for (const file of versioned.filter((name) => name.endsWith("/package.json")))
    expect(readFileSync(join(copy, file), "utf8")).not.toMatch(ours);
  expect(readFileSync(join(copy, "packages/runtime/src/version.ts"), "utf8")).toContain('VERSION = "9.8.7"');
  expect(readFileSync(join(copy, "deploy/k8s/chart/Chart.yaml"), "utf8")).toMatch(/^version: "9.8.7"\nappVersion: "9.8.7"$/m);
  expect(readFileSync(join(copy, "CHANGELOG.md"), "utf8")).toMatch(/^## \[Unreleased\]\n\n## \[9\.8\.7\] - \d{4}-\d\d-\d\d$/m);

  const { packages } = JSON.parse(readFileSync(join(copy, "package-lock.json"), "utf8")) as {
    packages: Record<string, { version?: string; dependencies?: object }>;
  };
  const mount = JSON.parse(readFileSync(join(copy, "services/mount/package.json"), "utf8")) as object;
  expect(mount).toMatchObject({ version: "9.8.7", dependencies: packages["services/mount"]?.dependencies });
});

test("refuses an invalid version and the current one", () => {
  expect(() => setVersion(ROOT, "0.2")).toThrow("not a version");
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string };
  expect(() => setVersion(ROOT, version)).toThrow("already");
});
