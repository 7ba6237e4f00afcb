// A directory as a policy: edited in place, and swapped as a whole by a link.
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { openPolicyFile } from "../file-backend.js";
import { wholeQuestion } from "../testing/standard-policy.js";

const directory = mkdtempSync(join(tmpdir(), "sluice-place-"));
afterAll(() => rmSync(directory, { recursive: true }));

/** Version n is two files that belong together: `policy.yaml` says which user is forbidden, and of which version it is. */
function version(n: number): void {
  const home = join(directory, `..v${n}`);
  mkdirSync(home);
  writeFileSync(join(home, "policy.yaml"), `kind: chain\nrevision: ${n}\npolicies: [first.yaml, second.yaml]\n`);
  const deny = (name: string, path: string): string =>
    `version: 1\ndefault: grant\nrules:\n  - {name: ${name}, path: '${path}', effect: deny}\n`;
  writeFileSync(join(home, "first.yaml"), deny(`first-${n}`, "a/**"));
  writeFileSync(join(home, "second.yaml"), deny(`second-${n}`, "b/**"));
}
function swap(n: number): void {
  symlinkSync(`..v${n}`, join(directory, ".new"));
  renameSync(join(directory, ".new"), join(directory, "..data"));
}

it("is a mistake of the user's where its name cannot be looked at", async () => {
  const name = join(directory, "loop.yaml");
  symlinkSync("loop.yaml", name);
  await expect(openPolicyFile(name)).rejects.toThrow(/loop\.yaml: policy cannot be read \(ELOOP\): check that it is readable/);
  rmSync(name);
});

it("is of one version at each moment, as a ConfigMap is", async () => {
  for (let n = 1; n <= 20; n++) version(n);
  swap(1);
  for (const name of ["policy.yaml", "first.yaml", "second.yaml"]) symlinkSync(`..data/${name}`, join(directory, name));
  const backend = await openPolicyFile(directory);
  try {
    expect(backend.watchedDirectories).toContain(directory);
    let swapped = 1;
    for (let turn = 0; backend.policy.revision.sequence < 20n; turn++) {
      if (turn % 3 === 0 && swapped < 20) swap(++swapped);
      backend.refresh();
      const { policy } = backend;
      const rules = await Promise.all(["a/x", "b/x"].map(async (path) => (await policy.evaluate(wholeQuestion({ paths: [path] }))).rule));
      const n = policy.revision.sequence;
      expect(rules).toEqual([`first-${n}`, `second-${n}`]);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect(backend.failure).toBeUndefined();
    rmSync(join(directory, "..v20"), { recursive: true });
    backend.refresh();
    expect(backend.failure?.message).toMatch(/does not exist/);
    expect(backend.policy.revision.sequence).toBe(20n);
  } finally {
    await backend.dispose();
  }
});
