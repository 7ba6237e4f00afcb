// The privilege of a mount service. A service that root starts drops every other capability by itself, and starts its program again for
// that (services/mount/src/privilege/least-privilege.ts): two starts of Node, which is a third of the processor time of a short mount.
// `sluice run` starts a service with these alone (packages/sandbox). So do tests, unless they look at how it drops the others.
import { CAP, capabilityMask, native } from "@sluice/native";

/** By their names in `CAP`, and as setpriv(1) names them in lower case. A test compares them with those that the service keeps. */
export const SERVICE_CAPABILITIES = [
  "SYS_ADMIN",
  "CHOWN",
  "DAC_OVERRIDE",
  "DAC_READ_SEARCH",
  "FOWNER",
  "FSETID",
  "SETUID",
  "SETGID",
  "SETFCAP",
  "MKNOD",
  "LINUX_IMMUTABLE",
  "SYS_PTRACE",
  "KILL",
] as const satisfies readonly (keyof typeof CAP)[];

const BOUNDING_SET = ["-all", ...SERVICE_CAPABILITIES.map((name) => `+${name.toLowerCase()}`)].join(",");

/** Only then can it drop others. */
function mayLimit(): boolean {
  return process.geteuid?.() === 0 && (native.effectiveCapabilities() & capabilityMask(CAP.SETPCAP)) !== 0n;
}

/** The command that becomes `argv` with the privilege of a mount service, under the same pid. */
export function withServicePrivilege(argv: readonly string[]): readonly string[] {
  return mayLimit() ? ["setpriv", "--no-new-privs", "--bounding-set", BOUNDING_SET, "--", ...argv] : argv;
}
