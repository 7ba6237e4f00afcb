/** Checks that this machine lets the process mount. `sluice doctor` checks more. */
import { closeSync, openSync, statSync } from "node:fs";
import { CAP, native } from "@sluice/native";
import { codeOf, lacking } from "@sluice/runtime/cli";

export type CapabilityName = keyof typeof CAP;

const FUSE_RDEV_MAJOR = 10;
const FUSE_RDEV_MINOR = 229;
/** A writable mount creates files as other users, with their modes, owners and attributes. */
const WRITING: readonly CapabilityName[] = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID"];

export function missingCapabilities(names: readonly CapabilityName[], held: bigint = native.effectiveCapabilities()): CapabilityName[] {
  return names.filter((name) => (held & (1n << BigInt(CAP[name]))) === 0n);
}

export function requiredCapabilities(writable: boolean): readonly CapabilityName[] {
  return writable ? ["SYS_ADMIN", ...WRITING] : ["SYS_ADMIN"];
}

/** @throws CliError if /dev/fuse cannot be used */
export function checkDevice(): void {
  try {
    const { rdev } = statSync("/dev/fuse");
    if (rdev >> 8 !== FUSE_RDEV_MAJOR || (rdev & 0xff) !== FUSE_RDEV_MINOR) {
      throw lacking("/dev/fuse", "it is not the fuse device (ENODEV)", "recreate it: mknod /dev/fuse c 10 229");
    }
    closeSync(openSync("/dev/fuse", "r+"));
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error)) throw error;
    const code = codeOf(error);
    if (code === "EACCES" || code === "EPERM") {
      throw lacking(
        "/dev/fuse",
        `it cannot be opened (${code})`,
        "run as root, or let every user open it (chmod 666 /dev/fuse); in a container add --device /dev/fuse",
      );
    }
    throw lacking("/dev/fuse", `the device is not there (${code})`, "load it with 'modprobe fuse'; in a container add --device /dev/fuse");
  }
}

/** For a keeper that starts no server: only servers need the capabilities for writing. */
export const KEEPER_CAPABILITIES: readonly CapabilityName[] = ["SYS_ADMIN", "DAC_READ_SEARCH"];

/** For a keeper that starts and ends its servers as another user: such a server needs no capability, and serves only that user. */
export const KEEPER_CAPABILITIES_FOR_A_USER: readonly CapabilityName[] = [
  ...KEEPER_CAPABILITIES,
  "DAC_OVERRIDE",
  "CHOWN",
  "SETGID",
  "SETUID",
  "KILL",
];

/** For a server that joined a keeper, which has mounted already. Only CAP_SYS_ADMIN can read `trusted` marks. */
export function servingCapabilities(writable: boolean, trusted: boolean): readonly CapabilityName[] {
  return [...(trusted ? (["SYS_ADMIN"] as const) : []), ...(writable ? WRITING : [])];
}

const AS_ROOT = "run as root; in a container add --cap-add for each";

/** A mount, unlike a host service, also runs in a user namespace. */
export function mountRemedy(): string {
  const asUser = "run as root, or in 'unshare -Urm', where every open is mediated; in a container add --cap-add for each";
  return process.geteuid?.() === 0 ? AS_ROOT : asUser;
}

export function checkMachine(needed: readonly CapabilityName[], remedy: string = AS_ROOT): void {
  checkCapabilities(needed, remedy);
  checkDevice();
}

export function checkCapabilities(needed: readonly CapabilityName[], remedy: string = AS_ROOT): void {
  const missing = missingCapabilities(needed);
  if (missing.length > 0) {
    throw lacking(missing.map((name) => `CAP_${name}`).join(", "), "the process lacks this privilege (EPERM)", remedy);
  }
}
