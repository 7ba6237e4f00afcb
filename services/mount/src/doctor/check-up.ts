/** Checks the machine. Each result has a remedy if something is missing. */
import { release } from "node:os";
import { whyNoIdlePolling, whyNoUring } from "@sluice/engine-devfuse";
import { CliError, inInitialNamespace } from "@sluice/runtime";
import { CALLS_REFUSED, refusedCalls } from "../preflight/check-calls.js";
import { checkDevice, missingCapabilities, mountRemedy, requiredCapabilities } from "../preflight/check-machine.js";
import { checkLayerEligible } from "./check-layer.js";
import { checkPrograms } from "./check-programs.js";
import { type PassthroughProbe, withProbe, withTemporaryFile } from "./passthrough-probe.js";

export interface CheckResult {
  name: string;
  /** "lack": Sluice cannot mount. "limit": it can mount, but something is slower or missing. */
  state: "ok" | "limit" | "lack";
  detail: string;
  remedy?: string;
}

const OLDEST_WITH_PASSTHROUGH = [6, 9] as const;

function checkKernel(): CheckResult {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  const [wantMajor, wantMinor] = OLDEST_WITH_PASSTHROUGH;
  if (major > wantMajor || (major === wantMajor && minor >= wantMinor)) return { name: "kernel", state: "ok", detail: release() };
  return {
    name: "kernel",
    state: "limit",
    detail: `${release()} has no FUSE passthrough: every open is mediated, so the daemon moves all bytes`,
    remedy: `use Linux ${wantMajor}.${wantMinor} or later`,
  };
}

function checkFuse(): CheckResult {
  try {
    checkDevice();
    return { name: "/dev/fuse", state: "ok", detail: "can be opened" };
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return { name: "/dev/fuse", state: "lack", detail: error.problem, remedy: error.remedy };
  }
}

function checkCapabilities(): CheckResult {
  const missing = missingCapabilities(requiredCapabilities(true)).map((name) => `CAP_${name}`);
  if (missing.length > 0) {
    return {
      name: "capabilities",
      state: "lack",
      detail: `'sluice mount' needs ${missing.join(", ")}; 'sluice run' gets them in a user namespace of its own`,
      remedy: mountRemedy(),
    };
  }
  const hints = missingCapabilities(["SYS_PTRACE", "DAC_READ_SEARCH"]).map((name) => `CAP_${name}`);
  if (hints.length === 0) return { name: "capabilities", state: "ok", detail: "all there" };
  return {
    name: "capabilities",
    state: "limit",
    detail: `${hints.join(", ")} missing: some callers' executables and some layers cannot be read`,
    remedy: "add them if a policy needs those facts",
  };
}

function checkSystemCalls(): CheckResult {
  const name = "system calls";
  const { problem, remedy } = CALLS_REFUSED;
  const refused = refusedCalls({ writable: true, keeper: false });
  if (refused.length > 0) return { name, state: "lack", detail: `${refused.join(", ")}: ${problem}`, remedy };
  const ofKeeper = refusedCalls({ writable: true, keeper: true });
  if (ofKeeper.length === 0) return { name, state: "ok", detail: "none that a mount needs is refused" };
  const without = "no --keeper on, no 'sluice run', and policies know no facts about the processes of callers";
  return { name, state: "limit", detail: `${ofKeeper.join(", ")}: ${problem}: ${without}`, remedy };
}

function checkUserNamespace(): CheckResult {
  if (inInitialNamespace()) return { name: "user namespace", state: "ok", detail: "the initial one" };
  return {
    name: "user namespace",
    state: "limit",
    detail: "not the initial one: files are mediated, and marks are user.overlay.*, since the kernel refuses the others",
    remedy: "run outside of it for passthrough",
  };
}

function checkUring(): CheckResult {
  const name = "io_uring";
  const why = whyNoUring();
  if (why === undefined) return { name, state: "ok", detail: "offered: '--transport uring' takes it, for mounts without a keeper" };
  return { name, state: "ok", detail: `${why.problem}: requests come by read(2), about as fast (docs/transports.md); ${why.remedy}` };
}

function checkIdlePolling(): CheckResult {
  const name = "idle polling";
  const why = whyNoIdlePolling();
  if (why === undefined)
    return { name, state: "ok", detail: "can be asked for: 'sluice status' tells what it gives (docs/idle-polling.md)" };
  return { name, state: "ok", detail: `left alone: ${why}; docs/idle-polling.md has what it gives` };
}

function checkRegistration(probe: PassthroughProbe): CheckResult {
  const name = "passthrough";
  if (probe.negotiated.maxStackDepth === 0) {
    return {
      name,
      state: "limit",
      detail: "the kernel does not offer it: every open is mediated",
      remedy: "use a kernel with CONFIG_FUSE_PASSTHROUGH=y",
    };
  }
  const errno = withTemporaryFile((path) => probe.register(path));
  if (errno === undefined) return { name, state: "ok", detail: "a file was registered on a mount made for it" };
  const remedy = errno === "EPERM" ? "run with CAP_SYS_ADMIN in the initial user namespace" : "set TMPDIR to a directory on a disk";
  return { name, state: "limit", detail: `a file cannot be registered (${errno}): opens are mediated`, remedy };
}

async function checkMount(lowers: readonly string[]): Promise<CheckResult[]> {
  try {
    return await withProbe(1, (probe) => [
      { name: "mount", state: "ok" as const, detail: `FUSE ${probe.negotiated.protocol.major}.${probe.negotiated.protocol.minor}` },
      checkRegistration(probe),
      ...lowers.map((path) => checkLayerEligible(path, probe)),
    ]);
  } catch (error) {
    if (error instanceof CliError)
      return [{ name: "mount", state: "lack", detail: `${error.object}: ${error.problem}`, remedy: error.remedy }];
    const detail = error instanceof Error ? error.message : String(error);
    return [
      {
        name: "mount",
        state: "lack",
        detail,
        remedy: "run as root; a container needs SYS_ADMIN, /dev/fuse and no seccomp or AppArmor rule against mount",
      },
    ];
  }
}

export async function checkUp(lowers: readonly string[]): Promise<CheckResult[]> {
  const results = [
    checkKernel(),
    checkFuse(),
    checkCapabilities(),
    checkSystemCalls(),
    checkUserNamespace(),
    checkUring(),
    checkIdlePolling(),
    ...checkPrograms(),
  ];
  // If something is missing, a mount would only report the same again.
  if (results.some((result) => result.state === "lack")) return results;
  return [...results, ...(await checkMount(lowers))];
}
