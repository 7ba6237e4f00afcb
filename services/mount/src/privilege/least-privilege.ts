/** The capabilities of the server, and how it drops the others: once, before it does anything else. */
import { CAP, capabilityMask, native } from "@sluice/native";

/** The reason for each one. A test compares this table with docs/security.md. */
export const SERVER_CAPABILITIES: Readonly<Partial<Record<keyof typeof CAP, string>>> = {
  SYS_ADMIN: "mount(2) and private mount clones, registration of backing files, trusted.* and security.* attributes",
  CHOWN: "copy-up keeps the owner; chown by callers whom the kernel let pass",
  DAC_OVERRIDE: "files of every user, in layers; callers are checked by the kernel before they reach the daemon",
  DAC_READ_SEARCH: "files found by their handle: copy-up's origin, the index of hard links",
  FOWNER: "mode, times and attributes of files of others",
  FSETID: "copy-up keeps setgid; dropped to register a backing file, unless its layer is read-only",
  SETUID: "objects are made as the caller",
  SETGID: "objects are made with the caller's group",
  SETFCAP: "copy-up keeps security.capability",
  MKNOD: "device nodes that callers make (whiteouts need none)",
  LINUX_IMMUTABLE: "chattr +i and +a by callers who may",
  SYS_PTRACE: "the executable of a caller of another user, for policies that look at it",
  KILL: "signals to the holders of a revoked grant, if that is requested",
};

export const serverMask: bigint = capabilityMask(...Object.keys(SERVER_CAPABILITIES).map((name) => CAP[name as keyof typeof CAP]));

function block(strings: readonly string[]): Uint8Array {
  return Buffer.from(strings.map((text) => `${text}\0`).join(""), "utf8");
}

/** Standard input, output and error. */
const STDIO = 3;

/**
 * Limits this thread to the capabilities of the table, and with it each program that it starts or becomes: those have no more, and get no
 * more. @returns false if there is nothing to drop (in a container that adds only what it needs), or without CAP_SETPCAP, where the
 * container decides
 */
export function limitThread(): boolean {
  const beyond = native.boundingCapabilities() & ~serverMask;
  const isRoot = process.geteuid?.() === 0;
  if (!isRoot || beyond === 0n || (native.effectiveCapabilities() & capabilityMask(CAP.SETPCAP)) === 0n) return false;
  if (native.limitCapabilities(serverMask) < 0) return false;
  native.setNoNewPrivileges();
  return true;
}

/**
 * Capabilities belong to a thread, and Node has several threads before our first line runs: the others would retain the
 * ones that this one drops. So the process limits this one and starts its own program again. Descriptors below `descriptors` stay open.
 */
export function keepLeastPrivilege(descriptors = STDIO): void {
  if (!limitThread()) return;
  replaceProcess(process.argv.slice(1), descriptors);
  // It only returns if it failed; then at least this thread has dropped them.
}

/**
 * Drops all capabilities but `mask`, for a process with no_new_privs: its own program, started again, gets no more than
 * this thread has left, whatever the bounding set holds. It does nothing if there is nothing to drop.
 */
export function dropOtherCapabilities(mask: bigint, descriptors: number): void {
  if ((native.effectiveCapabilities() & ~mask) === 0n) return;
  // -EPERM for the bounding set without CAP_SETPCAP; the other sets are limited even then.
  native.limitCapabilities(mask);
  replaceProcess(process.argv.slice(1), descriptors);
  throw new Error("the server cannot drop its capabilities: free memory, or mount without --keeper");
}

/** This process becomes Node with other arguments: its memory and every thread are gone. It returns only if that fails. */
export function replaceProcess(argv: readonly string[], descriptors: number): void {
  const environment = Object.entries(process.env).map(([name, value]) => `${name}=${value ?? ""}`);
  native.execve(process.execPath, block([process.execPath, ...process.execArgv, ...argv]), block(environment), descriptors);
}
