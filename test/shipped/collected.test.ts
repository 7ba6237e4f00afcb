// The content of an image: every module that a service starts or loads late is there, with no checkout around it.
import { createHash } from "node:crypto";
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { file, plant, policyOf, requires, type RunningScript, runScript, scratch, type ScriptResult, startScript } from "@sluice/testkit";
import { beforeAll, expect } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const WASM = join(ROOT, "packages/policy-backends/src/opa-wasm/fixture/standard.wasm");
const LIMIT_MS = 120_000;
const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");
const onTerminal = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough", "command script", "pseudo-terminals").test;
const portable = requires("/dev/fuse", "CAP_SYS_ADMIN", "fuse-native").test;

let tree = "";
let cli = "";

function sluice(...args: readonly string[]): Promise<ScriptResult> {
  return runScript([process.execPath, cli, ...args], { timeoutMs: LIMIT_MS });
}

/** Mounts by a program of the tree, reads the mount, and unmounts; both programs must succeed. */
async function whileMounted(program: readonly string[], mountpoint: string, look: (mount: RunningScript) => Promise<void>): Promise<void> {
  const mount = startScript(program, { timeoutMs: LIMIT_MS });
  await mount.waitFor("mounted ");
  await look(mount);
  expect((await sluice("unmount", mountpoint)).code).toBe(0);
  expect((await mount.finished).code).toBe(0);
}

beforeAll(async () => {
  tree = join(scratch(), "opt");
  cli = join(tree, "packages/cli/bin/sluice.cjs");
  const { code, stderr } = await runScript([process.execPath, join(ROOT, "deploy/docker/collect-runtime.mjs"), tree], {
    timeoutMs: LIMIT_MS,
  });
  expect([code, stderr]).toEqual([0, ""]);
}, LIMIT_MS);

test("the tree is small, holds no link out of itself, names the licences of its contents, and has the pages", async () => {
  const { stdout: links } = await runScript(["find", tree, "-type", "l", "-lname", "/*", "-o", "-type", "l", "-lname", "*../../../*"]);
  expect(links).toBe("");
  const { stdout: size } = await runScript(["du", "-s", "--apparent-size", "-B1M", tree]);
  expect(Number.parseInt(size, 10)).toBeLessThan(30);
  const licences = readFileSync(join(tree, "THIRD-PARTY-LICENSES"), "utf8");
  expect(licences).toMatch(/^@grpc\/grpc-js \d/m);
  // From a package whose notice is only in its modules.
  expect(licences).toContain("Copyright 2008 Google Inc.");
  expect(readdirSync(tree)).not.toContain("inputs.json");
  // Errors name pages.
  const pages = readdirSync(join(ROOT, "docs")).filter((name) => name.endsWith(".md"));
  expect(readdirSync(join(tree, "docs"))).toEqual(pages);
});

test(
  "a mount with a keeper and a policy about content works: its service, its threads, and its server, killed and started again",
  async () => {
    const [lower, mountpoint, policy] = [plant(scratch(), { good: file("good"), bad: file("bad") }), scratch(), scratch()];
    const digest = createHash("sha256").update("good").digest("hex");
    writeFileSync(join(policy, "approved.sha256"), `${digest}  good\n`);
    const rules = `version: 1
default: grant
digests: { approved: approved.sha256 }
rules:
  - { name: approved-alone, access: [read], when: "!(resource.digest in digests.approved)", effect: deny }
`;
    writeFileSync(join(policy, "policy.yaml"), rules);
    const read = async (name: string): Promise<string> => {
      const { stdout, stderr } = await runScript(["cat", join(mountpoint, name)]);
      return stdout + stderr.replace(/.*: /, "").trim();
    };
    const serverPid = async (): Promise<number> =>
      (JSON.parse((await sluice("status", "--json", mountpoint)).stdout) as { pid: number }).pid;
    const args = ["mount", "--keeper", "on", "--policy", join(policy, "policy.yaml"), "--lower", lower, mountpoint];
    await whileMounted([process.execPath, cli, ...args], mountpoint, async () => {
      expect([await read("good"), await read("bad")]).toEqual(["good", "Permission denied"]);
      const before = await serverPid();
      process.kill(before, "SIGKILL");
      await expect.poll(serverPid, { timeout: 30_000 }).not.toBe(before);
      expect([await read("good"), await read("bad")]).toEqual(["good", "Permission denied"]);
    });
  },
  LIMIT_MS,
);

test(
  "policies of each kind that runs in threads or in a module of its own work",
  async () => {
    const at = scratch();
    copyFileSync(WASM, join(at, "standard.wasm"));
    writeFileSync(join(at, "p.cedar"), "permit(principal, action, resource);");
    writeFileSync(join(at, "cedar.yaml"), "kind: cedar\npolicies: p.cedar\n");
    writeFileSync(join(at, "opa.yaml"), "kind: opa-wasm\nbundle: standard.wasm\nneeds: {executable: true, xattrs: [user.class]}\n");
    writeFileSync(join(at, "rules.yaml"), policyOf("deny", { name: "own", when: "subject.uid == 0", effect: "grant" }));
    for (const name of ["cedar.yaml", "opa.yaml", "rules.yaml"]) {
      const { code, stderr } = await sluice("policy", "explain", join(at, name), "some/file");
      expect([name, code, stderr]).toEqual([name, 0, ""]);
    }
  },
  LIMIT_MS,
);

test("the commands are in bin/, which the image has in PATH", async () => {
  expect(readdirSync(join(tree, "bin")).sort()).toEqual([
    "mount.fuse.sluice",
    "sluice",
    "sluice-decision",
    "sluice-overlayfs",
    "umount.fuse.sluice",
  ]);
  const [, path] = /^ +PATH=\/opt\/sluice\/(\S+):\$PATH$/m.exec(readFileSync(join(ROOT, "deploy/docker/Dockerfile"), "utf8")) ?? [];
  const env = { PATH: `${join(tree, path ?? "none")}:${process.env["PATH"]}` };
  for (const command of ["sluice", "sluice-decision", "sluice-overlayfs"])
    expect(await runScript([command, "--version"], { env })).toMatchObject({ code: 0, stdout: expect.stringMatching(/\d\.\d/) as string });
});

onTerminal(
  "prints lines for a person on a terminal",
  async () => {
    const [lower, mountpoint] = [plant(scratch(), { f: file("text") }), scratch()];
    const policy = join(scratch(), "p.yaml");
    writeFileSync(policy, policyOf("mediate", { name: "a", path: "**/*.pem", effect: "deny" }));
    const mount = `'${process.execPath}' '${cli}' mount --lower '${lower}'`;
    for (const [options, policyWords] of [
      ["", "no policy: everything is granted"],
      [`--policy '${policy}'`, "policy p.yaml: 1 rule, default mediate"],
    ]) {
      const script = startScript(["script", "-qec", `${mount} ${options} '${mountpoint}'`, "/dev/null"], { timeoutMs: LIMIT_MS });
      await script.waitFor("mount: mounted (");
      expect((await sluice("unmount", mountpoint)).code).toBe(0);
      const { stdout } = await script.finished;
      const lines = stdout.split("\r\n").filter((line) => line !== "");
      expect(lines.filter((line) => !/^(\d\d:\d\d:\d\d (mount|sluice-decision): |mounted )/.test(line))).toEqual([]);
      expect(lines.find((line) => line.startsWith("mounted "))).toContain(`(1 lower, read-only; ${policyWords}; FUSE `);
    }
  },
  LIMIT_MS,
);

portable(
  "the portable engine works, with its addon",
  async () => {
    const [lower, mountpoint] = [plant(scratch(), { f: file("text") }), scratch()];
    const args = ["mount", "--engine", "fuse-native", "--lower", lower, mountpoint];
    await whileMounted([process.execPath, cli, ...args], mountpoint, async () => {
      expect((await runScript(["cat", join(mountpoint, "f")])).stdout).toBe("text");
    });
  },
  LIMIT_MS,
);

test(
  "the health checks of both services work, and so does publishing a policy to a bucket",
  async () => {
    const [at, lower, mountpoint] = [scratch(), plant(scratch(), { f: file("text") }), scratch()];
    writeFileSync(join(at, "policy.yaml"), policyOf("grant"));
    const target = `unix://${join(at, "socket")}`;
    const script = (name: string, ...args: readonly string[]): Promise<ScriptResult> =>
      runScript([process.execPath, join(tree, "deploy/docker", name), ...args], { timeoutMs: LIMIT_MS });
    expect((await script("decision-health.mjs", target)).code).toBe(1);
    const service = startScript([process.execPath, cli, "decision", "--policy", join(at, "policy.yaml"), "--listen", target], {
      timeoutMs: LIMIT_MS,
    });
    await expect.poll(async () => (await script("decision-health.mjs", target)).code, { timeout: 30_000 }).toBe(0);
    const args = ["mount", "--decision", target, "--lower", lower, mountpoint];
    await whileMounted([process.execPath, cli, ...args], mountpoint, async () => {
      expect(await script("mount-health.mjs", mountpoint)).toMatchObject({ code: 0, stderr: "" });
      expect((await script("mount-health.mjs", lower)).code).toBe(1);
      expect((await script("publish-policy.mjs", "policy.yaml", "--to", join(at, "missing.yaml"))).stderr).toContain("missing.yaml");
    });
    service.kill("SIGTERM");
    expect((await service.finished).code).toBe(0);
  },
  LIMIT_MS,
);

test("the drop-in and the decision service tell their versions", async () => {
  const version = (JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string }).version;
  for (const bin of ["packages/overlayfs-cli/bin/sluice-overlayfs.cjs", "services/decision/bin/sluice-decision.cjs"]) {
    const { code, stdout } = await runScript([process.execPath, join(tree, bin), "--version"]);
    expect([code, stdout]).toEqual([0, expect.stringContaining(version)]);
  }
  expect((await runScript([join(tree, "packages/cli/bin/sluice.cjs"), "--version"])).stdout.trim()).toBe(version);
});
