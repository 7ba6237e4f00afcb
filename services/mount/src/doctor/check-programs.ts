/** Checks for programs of other packages. A mount by root needs none of them. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { isAbsolute } from "node:path";
import { findCommand } from "@sluice/engine-fuse-native";
import type { CheckResult } from "./check-up.js";

interface OptionalPackage {
  name: string;
  /** One of them is enough. */
  commands: readonly string[];
  use: string;
  cost: string;
  /** Tries the program. @returns why it does not work here */
  fault?: (path: string) => string | undefined;
}

const PACKAGES: readonly OptionalPackage[] = [
  {
    name: "bubblewrap",
    commands: ["bwrap"],
    use: "'sluice run' has its sandbox",
    cost: "'sluice run' has no sandbox, and refuses to start",
    fault: sandboxFault,
  },
  {
    name: "fuse3",
    commands: ["fusermount3", "fusermount"],
    use: "a killed server of '--engine fuse-native' leaves no mount behind",
    cost: "a killed server of '--engine fuse-native' leaves a dead mount, which 'sluice unmount' removes",
  },
];

const TRIAL_MS = 5_000;

/** Settings of kernels and distributions that refuse user namespaces: the file below /proc/sys, such a value, and another one. */
const REFUSING: readonly (readonly [file: string, refuses: string, allows: string])[] = [
  ["user/max_user_namespaces", "0", "65536"],
  ["kernel/unprivileged_userns_clone", "0", "1"],
  ["kernel/apparmor_restrict_unprivileged_userns", "1", "0"],
];

function isSet(file: string, value: string): boolean {
  try {
    return readFileSync(`/proc/sys/${file}`, "latin1").trim() === value;
  } catch {
    // This kernel has no such setting.
    return false;
  }
}

function namespaceRemedy(): string {
  const setting = REFUSING.find(([file, refuses]) => isSet(file, refuses));
  if (setting !== undefined) return `as root run: sysctl -w ${setting[0].replaceAll("/", ".")}=${setting[2]}`;
  return "allow namespaces: in a container its seccomp and AppArmor rules decide";
}

/** The kernel, its settings, seccomp and AppArmor can each refuse namespaces, so bubblewrap makes a sandbox like that of `sluice run`. */
function sandboxFault(bwrap: string): string | undefined {
  if (!isAbsolute(bwrap)) return "PATH names it by a relative directory";
  // As root `sluice run` makes no user namespace.
  const user = process.geteuid?.() === 0 ? [] : ["--unshare-user"];
  const argv = [...user, "--unshare-pid", "--unshare-ipc", "--ro-bind", "/", "/", "--proc", "/proc", "true"];
  const { status, stderr, error } = spawnSync(bwrap, argv, { encoding: "utf8", timeout: TRIAL_MS, killSignal: "SIGKILL" });
  if (status === 0) return undefined;
  return error?.message ?? (stderr.split("\n", 1)[0] || `exit code ${status}`);
}

function checkPackage({ name, commands, use, cost, fault }: OptionalPackage): CheckResult {
  const path = commands.map(findCommand).find((found) => found !== undefined);
  if (path === undefined)
    return { name, state: "limit", detail: `not installed: ${cost}`, remedy: `run: apt install ${name} (dnf, zypper: the same name)` };
  const why = fault?.(path);
  if (why === undefined) return { name, state: "ok", detail: use };
  return { name, state: "limit", detail: `it does not work here (${why}): ${cost}`, remedy: namespaceRemedy() };
}

export const checkPrograms = (): CheckResult[] => PACKAGES.map(checkPackage);
