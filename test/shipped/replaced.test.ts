// A package that is replaced or removed on disk while programs of it run, as an upgrade by npm or apt, or a build, does.
import { cpSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { eventually, file, plant, requires, type RunningScript, runScript, scratch, type ScriptResult, startScript } from "@sluice/testkit";
import { beforeAll, expect } from "vitest";
import { buildBundle } from "../../packages/dev/build.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const LIMIT_MS = 120_000;
const MAIN = "packages/cli/dist/main.js";
const CURRENT = join(ROOT, "bundle", MAIN);
const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const RULES = 'version: 1\ndefault: grant\nrules:\n  - { name: closed, path: "**/*.pem", effect: deny }\n';
const WITH_CONDITION = 'version: 1\ndefault: grant\nrules:\n  - { name: large, when: "resource.size > 3", effect: deny }\n';
/** A policy that is read in a thread, which starts from the files. */
const LARGE = `${WITH_CONDITION}${"# long\n".repeat(20_000)}`;

/** Tells of the chunks that a program reads, and holds. */
const SPY = `const fs = require("node:fs");
const { readFileSync } = fs;
fs.readFileSync = (path, ...rest) => {
  if (/chunks.*js$/.test(String(path))) process._rawDebug("read", path);
  return readFileSync(path, ...rest);
};`;

// `npm test -- FILE` makes no bundle.
beforeAll(() => expect(buildBundle()).toBe(true));

class Installed {
  readonly #home = scratch();
  readonly at = join(this.#home, "opt/bundle");
  readonly spy = join(this.#home, "spy.cjs");

  constructor() {
    this.#copy(this.at);
    symlinkSync(join(ROOT, "node_modules"), join(this.#home, "node_modules"));
    writeFileSync(this.spy, SPY);
  }

  #copy(to: string): void {
    cpSync(join(ROOT, "bundle"), to, { recursive: true, dereference: true, filter: (path) => !path.endsWith(".cache") });
  }

  sluice(...args: readonly string[]): Promise<ScriptResult> {
    return runScript([process.execPath, join(this.at, MAIN), ...args], { timeoutMs: LIMIT_MS });
  }

  start(...args: readonly string[]): RunningScript {
    const env = { NODE_OPTIONS: `--require ${this.spy}` };
    return startScript([process.execPath, join(this.at, MAIN), ...args], { timeoutMs: LIMIT_MS, env });
  }

  /** By another build, as npm replaces a package: the old files go first. */
  replace(): void {
    const next = join(this.#home, "next");
    this.#copy(next);
    for (const name of readdirSync(join(next, "chunks"), { recursive: true, encoding: "utf8" })) {
      if (!name.endsWith(".js")) continue;
      const path = join(next, "chunks", name);
      writeFileSync(path, readFileSync(path, "utf8").replace(/^\/\/ build \w{16}\n/, "// build 0123456789abcdef\n"));
    }
    rmSync(this.at, { recursive: true });
    renameSync(next, this.at);
  }

  remove(): void {
    rmSync(this.at, { recursive: true });
  }
}

interface Served {
  installed: Installed;
  mount: RunningScript;
  mountpoint: string;
  edit(text: string): void;
  read(name: string): Promise<string>;
}

function policyIn(directory: string): { policy: string; edit(text: string): void } {
  const policy = join(directory, "policy.yaml");
  const edit = (text: string): void => {
    writeFileSync(`${policy}.new`, text);
    renameSync(`${policy}.new`, policy);
  };
  edit(RULES);
  return { policy, edit };
}

/** The content of a file, or the error of cat. */
const reader =
  (mountpoint: string) =>
  async (name: string): Promise<string> => {
    const { stdout, stderr } = await runScript(["cat", join(mountpoint, name)]);
    return stdout + stderr.replace(/^.*: /, "");
  };

/** A mount with a decision service, both of an installed bundle. */
async function served(...options: readonly string[]): Promise<Served> {
  const installed = new Installed();
  const [lower, mountpoint, at] = [plant(scratch(), { long: file("long"), "a.pem": file("a") }), scratch(), scratch()];
  const { policy, edit } = policyIn(at);
  const mount = installed.start("mount", "--lower", lower, "--policy", policy, ...options, mountpoint);
  await mount.waitFor("mounted ");
  return { installed, mount, mountpoint, edit, read: reader(mountpoint) };
}

const CHANGES = [
  ["replaced", (installed: Installed) => installed.replace()],
  ["removed", (installed: Installed) => installed.remove()],
] as const;

/** A decision service of an installed bundle, and a mount by the current one that asks it. */
async function decided(): Promise<Served & { service: RunningScript }> {
  const installed = new Installed();
  const [lower, mountpoint, at] = [plant(scratch(), { long: file("long"), "a.pem": file("a") }), scratch(), scratch()];
  const { policy, edit } = policyIn(at);
  const socket = `unix://${at}/d.sock`;
  const service = installed.start("decision", "--policy", policy, "--listen", socket);
  const mount = startScript([process.execPath, CURRENT, "mount", "--lower", lower, "--decision", socket, mountpoint], {
    timeoutMs: LIMIT_MS,
  });
  await mount.waitFor("mounted ");
  return { installed, mount, mountpoint, edit, read: reader(mountpoint), service };
}

for (const [what, change] of CHANGES) {
  test(
    `a policy's first condition holds after the package was ${what}, since the decision service holds the text of CEL by then`,
    async () => {
      const { installed, mount, mountpoint, edit, read, service } = await decided();
      await eventually("the service holds CEL", LIMIT_MS, () => /read .*rules\/cel\.js/.test(service.stderr()));
      change(installed);
      expect([await read("long"), await read("a.pem")]).toEqual(["long", "Permission denied\n"]);
      edit(WITH_CONDITION);
      await eventually("the condition holds", LIMIT_MS, async () => (await read("long")) === "Permission denied\n");
      expect(await read("a.pem")).toBe("a");
      await unmount(mount, mountpoint);
      service.kill("SIGTERM");
      expect((await service.finished).code).toBe(0);
    },
    LIMIT_MS,
  );

  test(
    `a policy that needs other files of a package that was ${what} is refused: the former one stays in force, and the log says why`,
    async () => {
      const { installed, mount, mountpoint, edit, read } = await served();
      change(installed);
      edit(LARGE);
      await eventually("the refusal is told", LIMIT_MS, () => mount.stderr().includes("rules-worker"));
      const told = mount.stderr();
      expect(told).toContain("policy edit does not check: the revision before stays in force");
      if (what === "replaced") expect(told).toMatch(/another build of Sluice has replaced the file \(ESTALE\).*run 'sluice upgrade'/);
      expect([await read("long"), await read("a.pem")]).toEqual(["long", "Permission denied\n"]);
      await unmount(mount, mountpoint);
    },
    LIMIT_MS,
  );
}

async function unmount(mount: RunningScript, mountpoint: string): Promise<void> {
  const { code, stderr } = await runScript([process.execPath, CURRENT, "unmount", mountpoint], { timeoutMs: LIMIT_MS });
  expect([code, stderr]).toEqual([0, ""]);
  expect((await mount.finished).code).toBe(0);
}

test(
  "control commands of the next version work on a mount whose package was replaced, except for a profile, which says why",
  async () => {
    const { installed, mount, mountpoint, read } = await served();
    installed.replace();
    for (const args of [["status"], ["grants"], ["top", "--once"], ["asks"], ["log"], ["explain", "long"]]) {
      const [command = "", ...rest] = args;
      const argv = command === "explain" ? [join(mountpoint, "long")] : [...rest, mountpoint];
      const { code, stderr } = await installed.sluice(command, ...argv);
      expect([command, code]).toEqual([command, 0]);
      expect(stderr).not.toContain("since this program started");
    }
    // The server loads the profiler for it.
    const profile = await installed.sluice("profile", "--live", mountpoint, "100ms", "--out", "-");
    expect(profile).toMatchObject({ code: 1, stdout: "", stderr: expect.stringMatching(/another build of Sluice has replaced the file/) });
    expect(await read("long")).toBe("long");
    await unmount(mount, mountpoint);
  },
  LIMIT_MS,
);

test(
  "sluice upgrade takes a mount with a keeper from the replaced build to the next one, which reads any policy",
  async () => {
    const { installed, mount, mountpoint, edit, read } = await served("--keeper", "on");
    installed.replace();
    const status = async (): Promise<{ pid: number }> =>
      JSON.parse((await installed.sluice("status", "--json", mountpoint)).stdout) as { pid: number };
    const before = await status();
    const { code, stderr } = await installed.sluice("upgrade", mountpoint);
    expect([code, stderr]).toEqual([0, ""]);
    expect((await status()).pid).not.toBe(before.pid);
    edit(LARGE);
    await eventually("the condition holds", LIMIT_MS, async () => (await read("long")) === "Permission denied\n");
    await unmount(mount, mountpoint);
  },
  LIMIT_MS,
);

test(
  "a host service whose package was replaced, and then removed, refuses a mount that needs its files, says why, and ends in order",
  async () => {
    const installed = new Installed();
    const socket = join(scratch(), "host.sock");
    const host = installed.start("serve", "--socket", socket);
    await host.waitFor("serves mounts");
    const { policy } = policyIn(scratch());
    const mountIn = (mountpoint: string, ...options: readonly string[]): Promise<ScriptResult> => {
      const argv = ["mount", "--host-service", socket, "--background", "--lower", plant(scratch(), { "a.pem": file("a") }), ...options];
      return runScript([process.execPath, CURRENT, ...argv, mountpoint], { timeoutMs: LIMIT_MS });
    };
    for (const [what, change] of CHANGES) {
      change(installed);
      const { code, stderr } = await mountIn(scratch(), "--policy", policy);
      expect([what, code]).toEqual([what, 1]);
      expect(stderr).toMatch(what === "replaced" ? /another build of Sluice has replaced the file/ : /the file was removed/);
      expect(stderr).toMatch(/restart it, .* run 'sluice upgrade'\n$/);
    }
    const mountpoint = scratch();
    expect(await mountIn(mountpoint)).toMatchObject({ code: 0 });
    expect(await reader(mountpoint)("a.pem")).toBe("a");
    host.kill("SIGTERM");
    expect((await host.finished).code).toBe(0);
  },
  LIMIT_MS,
);
