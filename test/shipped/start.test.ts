// The build of a program that the commands in bin/ start, tested in a checkout of three files.
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { requires, runScript, scratch } from "@sluice/testkit";
import { expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const START = fileURLToPath(new URL("../../packages/runtime/bin/start.cjs", import.meta.url));
const COMPILED = "packages/x/dist/main.js";
const INPUT = "packages/x/dist/.tsbuildinfo";

interface Checkout {
  at: string;
  /** Records in the bundle that it was made from the current files. */
  record(): void;
  started(env?: Readonly<Record<string, string>>): Promise<string>;
}

function checkout(): Checkout {
  const at = scratch();
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(at, path)), { recursive: true });
    writeFileSync(join(at, path), text);
  };
  mkdirSync(join(at, "packages/runtime/bin"), { recursive: true });
  copyFileSync(START, join(at, "packages/runtime/bin/start.cjs"));
  write("package.json", '{ "type": "module" }');
  write(COMPILED, 'console.log("compiled");');
  write("bundle/package.json", '{ "type": "commonjs" }');
  write(`bundle/${COMPILED}`, 'console.log("bundle");');
  write(INPUT, "");
  write("packages/x/bin/x.cjs", `void require("../../runtime/bin/start.cjs").start("${COMPILED}", () => import("../dist/main.js"));`);
  return {
    at,
    record: () => write("bundle/inputs.json", JSON.stringify({ [INPUT]: statSync(join(at, INPUT)).mtimeMs })),
    started: async (env = {}) => {
      const { code, stdout, stderr } = await runScript([process.execPath, join(at, "packages/x/bin/x.cjs")], { env });
      return code === 0 ? stdout.trim() : stderr;
    },
  };
}

test("starts the bundle while it is newer than the compiled modules", async () => {
  const tree = checkout();
  tree.record();
  expect(await tree.started()).toBe("bundle");
});

test("starts the compiled modules if they are newer, the bundle is incomplete, or the user asks for them", async () => {
  const tree = checkout();
  expect(await tree.started()).toBe("compiled");
  tree.record();
  expect(await tree.started({ SLUICE_BUNDLE: "off" })).toBe("compiled");
  const { atime, mtimeMs } = statSync(join(tree.at, INPUT));
  utimesSync(join(tree.at, INPUT), atime, new Date(mtimeMs + 10));
  expect(await tree.started()).toBe("compiled");
  tree.record();
  expect(await tree.started()).toBe("bundle");
  rmSync(join(tree.at, INPUT));
  expect(await tree.started()).toBe("compiled");
});

test("a failing program reports its error in either build, and is not tried twice", async () => {
  const tree = checkout();
  tree.record();
  writeFileSync(join(tree.at, "bundle", COMPILED), 'console.error("broken"); process.exit(3);');
  const { code, stdout, stderr } = await runScript([process.execPath, join(tree.at, "packages/x/bin/x.cjs")]);
  expect([code, stdout, stderr]).toEqual([3, "", "broken\n"]);
});

test("a checkout without a build prints one line that says what to run", async () => {
  const tree = checkout();
  rmSync(join(tree.at, COMPILED));
  const { code, stdout, stderr } = await runScript([process.execPath, join(tree.at, "packages/x/bin/x.cjs")]);
  expect([code, stdout, stderr]).toEqual([3, "", `sluice: ${tree.at}: this checkout is not built (ENOENT): run 'npm ci' in it\n`]);
});

requires("command npm").test(
  "npm install -g of the checkout's packages installs the commands",
  async () => {
    const prefix = scratch();
    // npm expects it in a prefix.
    mkdirSync(join(prefix, "lib"));
    // npm 9 copies them otherwise, without the rest of the checkout (docs/install.md).
    const quiet = ["--cache", join(prefix, "cache"), "--offline", "--ignore-scripts", "--no-audit", "--no-fund"];
    const packages = ["packages/cli", "packages/overlayfs-cli", "services/decision"].map((path) => join(ROOT, path));
    const argv = ["npm", "install", "-g", "--install-links=false", "--prefix", prefix, ...quiet, ...packages];
    const { code, stderr } = await runScript(argv, { cwd: prefix, timeoutMs: 100_000 });
    expect([code, stderr]).toEqual([0, ""]);
    const commands = ["mount.fuse.sluice", "sluice", "sluice-decision", "sluice-overlayfs", "umount.fuse.sluice"];
    expect(readdirSync(join(prefix, "bin")).sort()).toEqual(commands);
    const { stdout } = await runScript(["sluice", "--version"], { env: { PATH: `${join(prefix, "bin")}:${process.env["PATH"]}` } });
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  },
  120_000,
);

requires("command npx").test(
  "npx finds the commands of the checkout, and installs nothing for them",
  async () => {
    const cache = join(scratch(), "cache");
    for (const command of ["sluice", "sluice-overlayfs", "sluice-decision"]) {
      const env = { npm_config_cache: cache, npm_config_offline: "true" };
      const { code, stdout, stderr } = await runScript(["npx", command, "--version"], { cwd: ROOT, env, timeoutMs: 100_000 });
      expect([code, stderr]).toEqual([0, ""]);
      expect(stdout).toMatch(/\d+\.\d+\.\d+\n$/);
    }
    expect(existsSync(join(cache, "_npx"))).toBe(false);
  },
  120_000,
);
