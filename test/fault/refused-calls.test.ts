/** System calls that a seccomp filter refuses: a mount, a host service and 'sluice doctor' name them before anything is mounted. */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bytes, file, layers, mountsBelow, requires, runScript, scratch, type ScriptResult, startScript } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command bwrap", "command python3");
const CLI = fileURLToPath(new URL("../../packages/cli/bin/sluice.cjs", import.meta.url));

/** A filter that answers these calls with EPERM, as the profile of a container does, around a command. */
const FILTERED = `
import ctypes, os, struct, sys
calls = {"x86_64": dict(statx=332, pidfd_open=434, renameat2=316, setfsuid=122), "aarch64": dict(statx=291, pidfd_open=434, renameat2=276, setfsuid=151)}
steps = [struct.pack("HBBI", 0x20, 0, 0, 0)]
steps += [struct.pack("HBBI", 0x15, 0, 1, calls[os.uname().machine][sys.argv[1]]), struct.pack("HBBI", 6, 0, 0, 0x00050001)]
steps.append(struct.pack("HBBI", 6, 0, 0, 0x7fff0000))
text = ctypes.create_string_buffer(b"".join(steps))
class Program(ctypes.Structure): _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_void_p)]
program = Program(len(steps), ctypes.addressof(text))
if ctypes.CDLL(None).prctl(22, 2, ctypes.byref(program), 0, 0) != 0: sys.exit("no filter")
os.execv(sys.argv[2], sys.argv[2:])
`;

function without(call: string, ...words: readonly string[]): Promise<ScriptResult> {
  return runScript(["python3", "-c", FILTERED, call, process.execPath, CLI, ...words], { timeoutMs: 60_000 });
}

/** By the name in the message. */
const NEEDED = { statx: "statx", pidfd_open: "pidfd_open", renameat2: "renameat2", setfsuid: "setfsuid and setfsgid" };

test("a writable mount with a keeper names each refused call, and so does 'sluice doctor'", async () => {
  const { lower, upper } = layers({ lower: { a: file("a") } });
  const [mountpoint, work] = [scratch(), join(upper, "..", "refused-work")];
  mkdirSync(work);
  for (const [call, name] of Object.entries(NEEDED)) {
    const words = ["mount", "--background", "--log-file", "/dev/null", "--keeper", "on", "--lower", lower, "--upper", upper];
    const stderr = `sluice: ${name}: these system calls are refused (EPERM): allow them in the seccomp profile`;
    const mounted = await without(call, ...words, "--work", work, mountpoint);
    expect(mounted).toMatchObject({ code: 3, stderr: expect.stringContaining(stderr) as string });
    expect(mountsBelow(bytes(mountpoint))).toEqual([]);
    const { code, stdout } = await without(call, "doctor");
    // A mount without a keeper goes without that one.
    expect([code, stdout]).toEqual([
      call === "pidfd_open" ? 0 : 3,
      expect.stringContaining(`${name}: these system calls are refused (EPERM)`),
    ]);
  }
  const service = await without("renameat2", "serve", "--socket", join(scratch(), "host.sock"));
  expect(service).toMatchObject({ code: 3, stderr: expect.stringContaining("renameat2: these system calls are refused") as string });
});

test("a mount and a host service without a keeper do without pidfd_open", async () => {
  const { lower } = layers({ lower: { a: file("a") } });
  const [mountpoint, socket] = [scratch(), join(scratch(), "host.sock")];
  const mounted = await without("pidfd_open", "mount", "--background", "--log-file", "/dev/null", "--lower", lower, mountpoint);
  expect(mounted).toMatchObject({ code: 0 });
  expect(readFileSync(join(mountpoint, "a"), "latin1")).toBe("a");
  expect(await runScript([process.execPath, CLI, "unmount", mountpoint], { timeoutMs: 60_000 })).toMatchObject({ code: 0 });
  const service = startScript(["python3", "-c", FILTERED, "pidfd_open", process.execPath, CLI, "serve", "--socket", socket]);
  await service.waitFor("serves mounts at");
  service.kill("SIGTERM");
  expect(await service.finished).toMatchObject({ code: 0 });
});
