/**
 * Small machines for tests of packages: a root directory of Debian packages, without a compiler and npm. Its archive is made once
 * for a machine, which needs a mirror of Debian; tests then unpack it and work without a network.
 */
import { existsSync, mkdirSync, mkdtempSync, renameSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cleanUp, describeResult, descendantsOf, eventually, runScript, scratch, type ScriptResult, startScript } from "@sluice/testkit";
import { expect } from "vitest";
import { type LoadedChunk, loadedChunks, writeChunkSpy } from "../shipped/chunk-spy.js";

const ENTER = fileURLToPath(new URL("./enter-root.sh", import.meta.url));
const BOOT = fileURLToPath(new URL("./boot-root.sh", import.meta.url));
export const FIRST_MINUTE = fileURLToPath(new URL("./first-minute.sh", import.meta.url));
/** On a busy machine with a slow mirror. */
export const LIMIT_MS = 600_000;

/** The releases and the packages of users' machines. "trixie" has a Node that is new enough. */
const MACHINES = {
  trixie: { suite: "trixie", packages: ["nodejs", "fuse3", "bubblewrap", "attr"] },
  "trixie-systemd": { suite: "trixie", packages: ["nodejs", "fuse3", "bubblewrap", "attr", "systemd"] },
  bookworm: { suite: "bookworm", packages: ["libstdc++6", "fuse3", "bubblewrap", "attr"] },
} as const;

/** As deploy/docker/import-base-images.sh chooses it. */
export function cache(): string {
  const { SLUICE_IMAGE_CACHE, XDG_CACHE_HOME } = process.env;
  return SLUICE_IMAGE_CACHE ?? join(XDG_CACHE_HOME ?? join(homedir(), ".cache"), "sluice");
}

/** Runs a program that must succeed. */
export async function succeed(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<ScriptResult> {
  const result = await runScript(argv, { env, timeoutMs: LIMIT_MS });
  expect(result.code, describeResult(result)).toBe(0);
  return result;
}

async function archiveOf(machine: keyof typeof MACHINES): Promise<string> {
  const archive = join(cache(), `release-${machine}.tar`);
  if (existsSync(archive)) return archive;
  mkdirSync(dirname(archive), { recursive: true });
  const part = `${archive}.${process.pid}.tar`;
  const { suite, packages } = MACHINES[machine];
  await succeed(["mmdebstrap", "--quiet", "--variant=minbase", `--include=${packages.join(",")}`, suite, part]);
  renameSync(part, archive);
  return archive;
}

export interface DebianRoot {
  /** The directory, to put files into. */
  at: string;
  /** Runs a program there, which must succeed. */
  run(...argv: string[]): Promise<string>;
  /** Every path, but those that only packages' managers and users write to. */
  paths(): Promise<string[]>;
}

const PATH = "/usr/sbin:/usr/bin:/sbin:/bin";
const NOT_OURS = "^/(dev|proc|sys|tmp|root|run|var/(log/(apt|dpkg|dnf|hawkey)|cache|lib/(apt|dpkg|dnf|rpm))|etc/(g?shadow|group|passwd)-)";

export async function debianRoot(machine: keyof typeof MACHINES): Promise<DebianRoot> {
  const at = join(scratch(), "root");
  mkdirSync(at);
  const unread = ["doc", "locale"].map((name) => `--exclude=./usr/share/${name}/*`);
  await succeed(["tar", "--extract", "--file", await archiveOf(machine), "--directory", at, ...unread]);
  await succeed(["cp", FIRST_MINUTE, join(at, "tmp")]);
  const run = async (...argv: string[]): Promise<string> => (await succeed([ENTER, at, ...argv])).stdout;
  const paths = async (): Promise<string[]> => (await run("sh", "-c", `find / -xdev | grep -vE '${NOT_OURS}' | sort`)).split("\n");
  return { at, run, paths };
}

/** Starts systemd in a root of "trixie-systemd". @returns how to run a program there, which must succeed */
export async function boot({ at }: DebianRoot): Promise<DebianRoot["run"]> {
  const { stdout: groups } = await succeed(["findmnt", "--noheadings", "--first-only", "--output", "TARGET", "--types", "cgroup2"]);
  const group = mkdtempSync(join(groups.trim(), "sluice-boot-"));
  const machine = startScript([BOOT, at, group], { timeoutMs: LIMIT_MS });
  cleanUp(async () => {
    machine.kill();
    await machine.finished;
    const remove = ["find", group, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"];
    await eventually("its processes are gone", 10_000, async () => (await runScript(remove)).code === 0);
  });
  let first: number | undefined;
  const inside = (argv: readonly string[]): string[] => [
    "nsenter",
    "--all",
    "--target",
    String(first),
    "env",
    "-i",
    `PATH=${PATH}`,
    ...argv,
  ];
  await eventually("systemd has started its units", 60_000, async () => {
    first = descendantsOf(machine.pid)[0]?.pid;
    const state = first === undefined ? undefined : await runScript(inside(["systemctl", "is-system-running"]));
    // "degraded": some unit of a real machine does not work in namespaces.
    return /^(running|degraded)$/m.test(state?.stdout ?? "");
  });
  return async (...argv) => (await succeed(inside(argv))).stdout;
}

/** For runs of `npm run release`: one time for all, and a package as fast as possible. At a release's level Node takes xz a minute. */
export const FAST_RELEASE = { SOURCE_DATE_EPOCH: "1700000000", DPKG_DEB_COMPRESSOR_LEVEL: "0" } as const;

/** Makes artefacts of this checkout. @returns their directory */
export async function release(kinds: string, env: Readonly<Record<string, string>> = {}, arch: string = process.arch): Promise<string> {
  const out = join(scratch(), "out");
  const program = fileURLToPath(new URL("../../packages/dev/release/release.mjs", import.meta.url));
  const argv = [process.execPath, program, "--out", out, "--arch", arch, "--only", kinds];
  await succeed(argv, { ...FAST_RELEASE, ...env });
  return out;
}

/** Every step of first-minute.sh. */
export function expectFirstMinute(stdout: string): void {
  for (const step of ["doctor", "mount with a policy", "run"]) expect(stdout).toContain(`ok ${step}`);
}

/** The chunks that a command of the installed package loads. */
export async function chunksAtStart(root: DebianRoot, node: string): Promise<LoadedChunk[]> {
  writeChunkSpy(join(root.at, "tmp"));
  const start = `${node} --require /tmp/chunk-spy.cjs /usr/lib/sluice/packages/cli/dist/main.js --version 2>&1 >/dev/null`;
  return loadedChunks(await root.run("sh", "-c", start));
}

/** The fates of their caches of compiled code. */
export async function cachesAtStart(root: DebianRoot, node: string): Promise<string[]> {
  return [...new Set((await chunksAtStart(root, node)).map(({ cache }) => cache))];
}
