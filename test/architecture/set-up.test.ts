// The first steps of `npm start` and `npm test`, and the summary that `npm test` makes of the results.
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import {
  bytes,
  cleanUp,
  identifyProcess,
  isAlive,
  mountsBelow,
  requires,
  runScript,
  type ScriptResult,
  scratch,
  startScript,
} from "@sluice/testkit";
import { describe, expect, test } from "vitest";
import { compiledModules } from "../../packages/dev/tests/compiled-modules.mjs";
import { firstDifference, type LockedPackages, whyInstall } from "../../packages/dev/lock-step.mjs";
import { clearLeaks, findLeaks } from "../../packages/dev/tests/leaks.mjs";
import { makePrograms, packagesOf } from "../../packages/dev/tests/programs.mjs";
import { describeSkips, summarize } from "../../packages/dev/tests/summary.mjs";
import { plannedRuns } from "../../packages/dev/tests/vitest-runs.mjs";

type Exports = Readonly<Record<string, Readonly<Record<string, string>>>>;

const root = fileURLToPath(new URL("../..", import.meta.url));

describe("the lock file and node_modules", () => {
  const platform = { os: "linux", cpu: "x64", libc: "glibc" };
  const wanted: LockedPackages = {
    "": { version: "0.1.0" },
    "packages/own": { version: "0.1.0" },
    "node_modules/@sluice/own": { resolved: "packages/own", link: true },
    "node_modules/a": { version: "1.0.0", integrity: "sha512-a" },
    "node_modules/for-arm": { version: "1.0.0", optional: true, os: ["linux"], cpu: ["arm64"] },
    "node_modules/for-musl": { version: "1.0.0", optional: true, os: ["linux"], cpu: ["x64"], libc: ["musl"] },
    "node_modules/for-us": { version: "1.0.0", optional: true, os: ["linux"], cpu: ["x64"], libc: ["glibc"] },
    "node_modules/not-windows": { version: "1.0.0", optional: true, os: ["!win32"] },
    "node_modules/came-with-arm": { version: "1.0.0", optional: true },
  };
  const inStep: LockedPackages = {
    "node_modules/@sluice/own": { resolved: "packages/own", link: true },
    "node_modules/a": { version: "1.0.0", integrity: "sha512-a" },
    "node_modules/for-us": { version: "1.0.0", optional: true },
    "node_modules/not-windows": { version: "1.0.0", optional: true },
  };

  test("are in step though packages for other machines are absent", () => {
    expect(firstDifference(wanted, inStep, platform)).toBeUndefined();
  });

  test.each<[string, LockedPackages, RegExp]>([
    ["another version", { "node_modules/a": { version: "1.0.1" } }, /a is 1\.0\.1, the lock file wants 1\.0\.0/],
    ["other content under one version", { "node_modules/a": { version: "1.0.0", integrity: "sha512-b" } }, /a is 1\.0\.0/],
    ["a link elsewhere", { "node_modules/@sluice/own": { resolved: "packages/other", link: true } }, /own is a link/],
    ["a package too many", { "node_modules/b": { version: "1.0.0" } }, /b is installed but not in the lock file/],
  ])("are out of step with %s", (_, change, expected) => {
    expect(firstDifference(wanted, { ...inStep, ...change }, platform)).toMatch(expected);
  });

  test.each(["node_modules/a", "node_modules/for-us", "node_modules/not-windows", "node_modules/@sluice/own"])(
    "are out of step without %s",
    (gone) => {
      const rest = Object.fromEntries(Object.entries(inStep).filter(([path]) => path !== gone));
      expect(firstDifference(wanted, rest, platform)).toBe(`${gone} is not installed`);
    },
  );

  test("tell a fresh clone, an interrupted install and a removed package", () => {
    const folder = scratch();
    writeFileSync(join(folder, "package-lock.json"), JSON.stringify({ packages: { "node_modules/a": { version: "1.0.0" } } }));
    expect(whyInstall(folder)).toBe("node_modules is missing");
    mkdirSync(join(folder, "node_modules"));
    expect(whyInstall(folder)).toBe("node_modules is incomplete");
    writeFileSync(
      join(folder, "node_modules/.package-lock.json"),
      JSON.stringify({ packages: { "node_modules/a": { version: "1.0.0" } } }),
    );
    expect(whyInstall(folder)).toBe("node_modules/a was removed");
    mkdirSync(join(folder, "node_modules/a"));
    expect(whyInstall(folder)).toBeUndefined();
  });

  test("are in step here, where the tests run", () => {
    expect(whyInstall(root)).toBeUndefined();
  });
});

describe("the exports of a package", () => {
  const homes = ["packages", "services"].flatMap((group) => readdirSync(join(root, group)).map((name) => `${group}/${name}`));
  const exported = homes.flatMap((home) => {
    const { exports = {} } = JSON.parse(readFileSync(join(root, home, "package.json"), "utf8")) as { exports?: Exports };
    return Object.entries(exports).map(([name, conditions]) => ({ home, name, conditions }));
  });

  test.each(exported)("the exports of $home name the source of $name first, so that unit tests need no build", ({ home, conditions }) => {
    const [condition, source] = Object.entries(conditions)[0] ?? ["", ""];
    expect(condition).toBe("@sluice/source");
    expect(existsSync(join(root, home, source))).toBe(true);
    expect(conditions["default"]).toBe(source.replace("./src/", "./dist/").replace(/\.ts$/, ".js"));
  });
});

describe("a unit test in npm test", () => {
  test("gets the compiled module of a source, and as it is what is not compiled", () => {
    // Vite allows an object, too.
    const resolveId = compiledModules().resolveId as (source: string, importer?: string) => string | null;
    const importer = join(root, "packages/vfs/src/errno.test.ts");
    expect(resolveId("./errno.js", importer)).toBe(join(root, "packages/vfs/dist/errno.js"));
    for (const other of ["./missing.js", "@sluice/vfs", "node:fs"]) expect(resolveId(other, importer)).toBeNull();
    expect(resolveId("./packages/vfs/src/errno.js")).toBeNull();
  });
});

describe("the messages before anything is installed", () => {
  test("names the Node that is needed, in one line", async () => {
    const source = `
      Object.defineProperty(process.versions, "node", { value: "20.18.3" });
      await import(${JSON.stringify(join(root, "packages/dev/ensure.mjs"))});`;
    const result = await runScript(source);
    expect(result).toMatchObject({ code: 1, stdout: "", stderr: "sluice: node 20.18.3 is too old: install Node.js 20.19 or newer\n" });
  });

  test("runs npm ci in a clone without node_modules, says why, and passes its failure on", async () => {
    const clone = scratch();
    mkdirSync(join(clone, "packages"));
    symlinkSync(join(root, "packages/dev"), join(clone, "packages/dev"));
    writeFileSync(join(clone, "npm"), '#!/bin/sh\necho npm "$@"\nexit 7\n', { mode: 0o755 });
    const env = { npm_execpath: join(clone, "npm"), NODE_OPTIONS: "--preserve-symlinks --preserve-symlinks-main" };
    const result = await runScript([process.execPath, join(clone, "packages/dev/ensure.mjs")], { env });
    expect(result.stdout).toBe("sluice: node_modules is missing: running npm ci\nnpm ci --include=dev\n");
    expect(result).toMatchObject({ code: 1, stderr: "sluice: npm ci failed; its messages are above\n" });
  });
});

describe("a run whose scratch directory is not hidden", () => {
  requires("CAP_SYS_ADMIN", "command chattr").test("says if something outside read it", async () => {
    const run = async (base: string): Promise<string> => {
      const argv = [process.execPath, join(root, "packages/dev/test.mjs"), "no-such-test", "--passWithNoTests"];
      return (await runScript(argv, { cwd: root, env: { SLUICE_TEST_BASE: base }, timeoutMs: 150_000 })).stdout;
    };
    const said = "something outside read the scratch directory";
    expect(await run(scratch({ on: "tmpfs" }))).not.toContain(said);
    const seen = scratch({ on: "tmpfs" });
    startScript(["sh", "-c", 'while :; do find "$0" >/dev/null 2>&1; sleep 0.05; done', seen], { timeoutMs: 150_000 });
    expect(await run(seen)).toContain(said);
  });
});

describe("the list of system packages", () => {
  const installed = (name: string): string[] =>
    [...readFileSync(join(root, name), "utf8").matchAll(/apt-get install ([a-z][a-z0-9\s.-]*[a-z0-9])`/g)].map(([, names = ""]) => names);

  test("is what README says to install, for a start and for every test", () => {
    const [start, every] = installed("README.md");
    expect(start?.split(/\s/)).toEqual(packagesOf(["start"]));
    expect(every?.split(/\s/)).toEqual(packagesOf(["test"]).toSorted());
  });

  test("is what the run on a new machine installs, and names each package once", async () => {
    const sets = ["start", "test", "compose", "console", "podman"];
    const { stdout } = await runScript([process.execPath, join(root, "packages/dev/tests/programs.mjs"), ...sets]);
    const names = stdout.trim().split("\n");
    expect(names).toEqual([...new Set(packagesOf(sets))]);
    expect(names).toContain("podman");
    const ci = readFileSync(join(root, ".ci/run"), "utf8");
    expect(ci).toContain("node packages/dev/tests/programs.mjs");
    for (const name of ["stress-ng", "buildah", "mmdebstrap", "chromium"]) expect(ci).not.toContain(name);
  });
});

/** Vitest starts in a second, and in half a minute on a machine that does much else. */
const START_MS = 100_000;

describe("the programs that tests may call", { timeout: START_MS + 20_000 }, () => {
  const run = async (body: string): Promise<ScriptResult> => {
    const place = scratch();
    makePrograms(join(place, "programs"), process.env["SLUICE_TEST_PATH"] ?? process.env["PATH"] ?? "");
    const setup = JSON.stringify(join(root, "packages/testkit/dist/file-setup.js"));
    writeFileSync(join(place, "vitest.config.mjs"), `export default { test: { setupFiles: [${setup}], include: ["*.test.mjs"] } };`);
    const testkit = JSON.stringify(pathToFileURL(join(root, "packages/testkit/dist/index.js")).href);
    const vitest = JSON.stringify(pathToFileURL(join(root, "node_modules/vitest/dist/index.js")).href);
    writeFileSync(
      join(place, "a.test.mjs"),
      `import { spawnSync } from "node:child_process";
import { requires } from ${testkit};
import { test } from ${vitest};
${body}`,
    );
    const env = {
      SLUICE_TEST_PROGRAMS: join(place, "programs"),
      SLUICE_TEST_PATH: process.env["SLUICE_TEST_PATH"] ?? process.env["PATH"] ?? "",
    };
    return runScript([process.execPath, join(root, "node_modules/vitest/vitest.mjs"), "run", "--root", place], {
      env,
      cwd: place,
      timeoutMs: START_MS,
    });
  };

  requires("command git", "command curl", "command getfattr").test(
    "are those of every machine and those that it declares: another one fails the test by name",
    async () => {
      const { code, stdout, stderr } = await run(`
test("of every machine", () => { if (spawnSync("sh", ["-c", "true"]).status !== 0) throw new Error("no shell"); });
requires("command git").test("declared", () => { if (spawnSync("git", ["--version"]).status !== 0) throw new Error("no git"); });
requires("command getfattr").test("not declared", () => void spawnSync("sh", ["-c", "curl --version || true"]));
requires("command getfattr").test("declared by another one", () => void spawnSync("git", ["--version"]));
`);
      const said = stdout + stderr;
      expect(code, said).toBe(1);
      expect(said).toMatch(/Tests .*2 failed.*2 passed/);
      expect(said).toContain('the test did not declare curl: requires("command curl")');
      expect(said).toContain('the test did not declare git: requires("command git")');
    },
  );

  test("must be of a package that is known", async () => {
    const { code, stdout, stderr } = await run('requires("command nothing-like-that");');
    expect([code, stdout + stderr]).toEqual([
      1,
      expect.stringContaining("no package is known that brings nothing-like-that: add it to") as string,
    ]);
  });
});

describe("the runs of vitest of npm test", () => {
  const projectsOf = (argv: readonly string[]): string[] => argv.map((word) => word.replace(/^--project=/, ""));

  test("have each project of the configuration once, and the tests of mounts that run alone beside no others of mounts", () => {
    const config = readFileSync(join(root, "vitest.config.ts"), "utf8");
    const projects = [...config.matchAll(/^ +name: "([^"]+)",$/gm)].map(([, name]) => name);
    const steps = plannedRuns([], "").map((step) => step.map(({ argv }) => projectsOf(argv)));
    expect(steps.flat(2).toSorted()).toEqual(projects.toSorted());
    const besideMounts = steps.filter((step) => step.some((run) => run.includes("mount"))).flat(2);
    expect(besideMounts.filter((name) => /^mount-|^uring/.test(name))).toEqual(["uring"]);
    expect(
      plannedRuns([], "")
        .flatMap((step) => step.filter(({ yields }) => yields))
        .map(({ argv }) => argv[0]),
    ).toEqual(["--project=unit"]);
  });

  test("are one run with the given words", () => {
    expect(plannedRuns(["test/e2e"], "/reports")).toEqual([[{ argv: ["test/e2e"], report: "/reports/report-0.json" }]]);
  });
});

describe("the summary of a run", () => {
  const result = (status: string, fullName: string): { status: string; fullName: string } => ({ status, fullName });

  test("counts tests, and names what this machine lacks", () => {
    const summary = summarize(
      {
        success: false,
        testResults: [
          { name: join(root, "test/a.test.ts"), status: "failed", assertionResults: [result("passed", "a"), result("failed", "b")] },
          {
            name: join(root, "test/b.test.ts"),
            status: "passed",
            assertionResults: [
              result("skipped", "c [needs user namespaces]"),
              result("skipped", "e [needs /dev/fuse, command getfattr, command mkfs.ext4, command setfattr]"),
              result("pending", "d"),
            ],
          },
        ],
      },
      root,
    );
    expect(summary).toMatchObject({ passed: 1, failed: 1, skipped: 3, failures: ["test/a.test.ts: b"] });
    expect(describeSkips(summary)).toEqual([
      "skipped 1: needs user namespaces (test/b.test.ts)",
      "skipped 1: needs /dev/fuse, command getfattr, command mkfs.ext4, command setfattr: apt-get install attr e2fsprogs (test/b.test.ts)",
      "skipped 1: no requirement named (test/b.test.ts)",
    ]);
  });

  test("counts a file that could not be loaded, and a run that failed without a test", () => {
    const broken = { name: join(root, "test/a.test.ts"), status: "failed", message: "SyntaxError\nat", assertionResults: [] };
    expect(summarize({ success: false, testResults: [broken] }, root)).toMatchObject({
      failed: 1,
      failures: ["test/a.test.ts: SyntaxError"],
    });
    expect(summarize({ success: false, testResults: [] }, root)).toMatchObject({ failed: 1 });
    expect(summarize({ success: true, testResults: [] }, root)).toMatchObject({ failed: 0 });
  });
});

describe("a leak", () => {
  test("a leak of a process or a file is found and cleared, by its mark alone", async () => {
    const run = { id: randomUUID(), scratchRoot: join(scratch(), "run") };
    expect(findLeaks(run)).toEqual([]);
    mkdirSync(run.scratchRoot);
    writeFileSync(join(run.scratchRoot, "left"), "");
    const ours = spawn("sleep", ["600"], { env: { ...process.env, SLUICE_TEST_RUN: run.id }, stdio: "ignore" });
    const named = spawn("sh", ["-c", "sleep 600; :", run.scratchRoot], { env: {}, stdio: "ignore" });
    const foreign = spawn("sleep", ["600"], { stdio: "ignore" });
    cleanUp(() => void foreign.kill());
    const ended = Promise.all([ours, named].map((child) => new Promise((resolve) => child.on("exit", resolve))));
    await expect.poll(() => findLeaks(run).filter((leak) => leak.startsWith("process")).length).toBeGreaterThanOrEqual(2);
    const leaks = findLeaks(run).join("\n");
    expect(leaks).toContain(`process ${ours.pid}: sleep 600`);
    expect(leaks).toContain(`process ${named.pid}: sh`);
    expect(leaks).toContain(`scratch ${run.scratchRoot}/left`);
    expect(leaks).not.toContain(`process ${foreign.pid}:`);
    clearLeaks(run);
    await ended;
    expect(findLeaks(run)).toEqual([]);
    expect(identifyProcess(foreign.pid ?? -1)).toSatisfy(isAlive);
  });

  requires("CAP_SYS_ADMIN").test("of a mount is found and cleared without touching what it shows", async () => {
    const base = scratch();
    const run = { id: randomUUID(), scratchRoot: join(base, "run") };
    mkdirSync(join(run.scratchRoot, "a b"), { recursive: true });
    mkdirSync(join(base, "precious"));
    writeFileSync(join(base, "precious/file"), "");
    expect((await runScript(["mount", "--bind", join(base, "precious"), join(run.scratchRoot, "a b")])).code).toBe(0);
    expect(findLeaks(run).join("\n")).toContain(`mount ${run.scratchRoot}/a b (`);
    clearLeaks(run);
    expect(mountsBelow(bytes(run.scratchRoot))).toEqual([]);
    expect(findLeaks(run)).toEqual([]);
    expect((await runScript(["ls", join(base, "precious")])).stdout).toBe("file\n");
  });
});
