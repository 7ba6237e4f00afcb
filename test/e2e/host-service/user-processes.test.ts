/** Processes of a user's mount run as that user, and hold what the user does not have: the user gets at nothing of it by their numbers. */
import { readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually, file, policyOf, requires, runScript, runSluice, startScript } from "@sluice/testkit";
import { expect } from "vitest";
import { pythonAs, startForUsers, USER, UserHome } from "./user-home.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command setpriv", "command python3", "checkout that every user can read");

/** Tries each way into the processes whose numbers are the arguments, and prints those that the kernel did not forbid (EACCES, EPERM). */
const INTRUDE = `
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
opened = []
def attempt(name, action):
    try: action()
    except PermissionError: return
    except OSError: pass
    opened.append(name)
def call(number, *arguments):
    if libc.syscall(ctypes.c_long(number), *arguments) < 0: raise OSError(ctypes.get_errno(), "")
def trace(request, pid):
    if libc.ptrace(ctypes.c_long(request), pid, None, None) < 0: raise OSError(ctypes.get_errno(), "")
class Vector(ctypes.Structure): _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
buffer = ctypes.create_string_buffer(8)
vector = ctypes.byref(Vector(ctypes.addressof(buffer), 8))
pidfd_getfd, kcmp, process_vm_readv = 438, *((312, 310) if os.uname().machine == "x86_64" else (272, 270))
for pid in map(int, sys.argv[1:]):
    at = f"/proc/{pid}/"
    for name in ("mem", "environ", "maps", "auxv", "io", "stack", "syscall", "pagemap"):
        attempt(f"{pid} {name}", lambda: open(at + name, "rb").read(1))
    for name in ("fd", "map_files", "task/" + str(pid) + "/fd"): attempt(f"{pid} {name}", lambda: os.listdir(at + name))
    for name in ("exe", "cwd", "root", "fd/3", "ns/mnt"): attempt(f"{pid} {name}", lambda: os.readlink(at + name))
    for request in (16, 0x4206): attempt(f"{pid} ptrace {request}", lambda: trace(request, pid))
    attempt(f"{pid} process_vm_readv", lambda: call(process_vm_readv, pid, vector, 1, vector, 1, 0))
    attempt(f"{pid} pidfd_getfd", lambda: call(pidfd_getfd, os.pidfd_open(pid), 3, 0))
    attempt(f"{pid} kcmp", lambda: call(kcmp, pid, os.getpid(), 2, 0, 0))
print(json.dumps(opened))
`;

async function intruded(...pids: readonly number[]): Promise<string[]> {
  const { stdout, stderr } = await runScript(pythonAs(USER, INTRUDE, ...pids.map(String)));
  expect(stderr).toBe("");
  return JSON.parse(stdout) as string[];
}

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "latin1");
  } catch {
    return ""; // it has ended
  }
}
const uidOf = (pid: number): number => Number(/^Uid:\t(\d+)/m.exec(statusOf(pid))?.[1]);

/** Files that a process of a user's mount holds beside its layers: the kernel's connection, memory of its own, and ways to its own processes. */
const HELD = /^(\/dev\/(fuse|null)|anon_inode:.*|(socket|pipe):.*|\/memfd:sluice-.*|\/proc\/\d+\/fd)$/;

function idOf(path: string): string {
  const { dev, ino } = statSync(path);
  return `${dev}:${ino}`;
}

/** A layer is held by a clone of its mount, in which its path begins at the layer. */
function foreignFiles(pid: number, layers: readonly string[]): string[] {
  return readdirSync(`/proc/${pid}/fd`)
    .map((fd) => `/proc/${pid}/fd/${fd}`)
    .filter((fd) => !HELD.test(readlinkSync(fd)) && !layers.includes(idOf(fd)))
    .map((fd) => readlinkSync(fd));
}

test("their memory, descriptors and threads stay closed to the user, and they hold nothing but the mount", async () => {
  const host = await startForUsers();
  const home = await UserHome.make({ lower: { word: file("x"), secret: file("y") } }, host);
  writeFileSync(home.at("policy.yaml"), policyOf("grant", { effect: "deny", path: "secret" }), { mode: 0o644 });
  await home.mount("--policy", home.at("policy.yaml"));
  expect(await home.sh("cat word; cat secret")).toMatchObject({ code: 1, stdout: "x" });
  const { pid } = JSON.parse((await runSluice(["status", "--json", home.mountpoint])).stdout) as { pid: number };
  const own = host.children().filter((child) => uidOf(child.pid) === USER.uid);
  expect(own.map((child) => child.pid)).toContain(pid);
  // The server, its decision service, and a standby of each.
  expect(own.length).toBeGreaterThanOrEqual(2);
  const keeper = Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]);
  // The same ways are open into another process of the user.
  const plain = startScript(["sleep", "120"], { as: USER, timeoutMs: 120_000 });
  await eventually("the process is the user's", 30_000, () => uidOf(plain.pid) === USER.uid);
  const ways = ["mem", "environ", "fd", "exe", "ptrace 16", "process_vm_readv", "pidfd_getfd", "kcmp"];
  expect(await intruded(plain.pid)).toEqual(expect.arrayContaining(ways.map((way) => `${plain.pid} ${way}`)));
  plain.kill();
  expect(await intruded(...own.map((child) => child.pid), keeper)).toEqual([]);
  const layers = ["", "lower", "lower/word", "upper", "work", "work/work"].map((name) => idOf(home.at(name)));
  for (const child of own) expect([child.command, foreignFiles(child.pid, layers)]).toEqual([child.command, []]);
  // The user may end what runs as the user, and nothing else.
  expect(await runScript(["sh", "-c", 'kill -0 "$0"', `${keeper}`], { as: USER })).not.toMatchObject({ code: 0 });
});

/** Of a user who connects and asks for nothing. */
const CONNECT = `
connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
connection.connect(sys.argv[1])
time.sleep(600)
`;

test("before a request they have the rights of the user who connected and no others, hold nothing, and end with the connection", async () => {
  const host = await startForUsers();
  const users = (): number[] => host.children().flatMap(({ pid }) => (uidOf(pid) === USER.uid ? [pid] : []));
  const waiting = startScript(pythonAs(USER, CONNECT, join(host.socket, "..", "users.sock")), { timeoutMs: 120_000 });
  await eventually("a server and its decision service are the user's", 30_000, () => users().length === 2);
  const own = users();
  const masks = own.flatMap((pid) =>
    ["CapPrm", "CapEff"].map((name) => BigInt(`0x${new RegExp(`^${name}:\\t(\\w+)$`, "m").exec(statusOf(pid))?.[1]}`)),
  );
  expect(masks).toEqual([0n, 0n, 0n, 0n]);
  expect(await intruded(...own)).toEqual([]);
  expect(own.flatMap((pid) => foreignFiles(pid, []))).toEqual([]);
  waiting.kill();
  await eventually("nothing of the user is left", 30_000, () => users().length === 0);
});
