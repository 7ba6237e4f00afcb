/** Ordinary users who connect with many ids, or with descriptors that cannot be closed, hold up neither root nor other users. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  cleanUp,
  file,
  type HostService,
  layers,
  mountSluice,
  requires,
  type RunningScript,
  runScript,
  startScript,
} from "@sluice/testkit";
import { expect } from "vitest";
import { OTHER, pythonAs, startForUsers, USER, UserHome } from "./user-home.js";

const { test } = requires(
  "/dev/fuse",
  "CAP_SYS_ADMIN",
  "command setpriv",
  "command python3",
  "command prlimit",
  "checkout that every user can read",
);

const FILES = 40;

const text = (part: string): string => expect.stringContaining(part) as string;

/** A mount of root in the service, with files that nobody has opened yet. */
async function mountOfRoot(host: HostService): Promise<() => Promise<void>> {
  const { lower } = layers({ lower: Object.fromEntries(Array.from({ length: FILES }, (_none, at) => [`f${at}`, "x"])) });
  const mount = await mountSluice({ lowers: [lower], args: host.args });
  return async () => {
    const names = Array.from({ length: FILES }, (_none, at) => mount.path(`f${at}`));
    expect(await runScript(["cat", ...names])).toMatchObject({ code: 0, stdout: "x".repeat(FILES) });
  };
}

const usersSocket = (host: HostService): string => join(host.socket, "..", "users.sock");

/**
 * Each socket has bytes that its peer does not take, and a close of it waits for an hour for that. The service gets them behind a request that it
 * refuses: whoever closes the connection closes them.
 */
const LINGERING = `
import threading
kept = []
def lingering():
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listening.bind(("127.0.0.1", 0))
    listening.listen(1)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    client.connect(listening.getsockname())
    client.setblocking(False)
    try:
        while True: client.send(b"x" * 4096)
    except BlockingIOError: pass
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
    kept.append(listening)
    return client
def connected():
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.connect(sys.argv[1])
    return client
kept.append(connected())
sent = 0
while sent < 100:
    heavy = lingering()
    client = connected()
    try:
        socket.send_fds(client, [b"x"], [heavy.fileno()])
        sent += 1
    except OSError: pass
    kept.append(client)
    # The last one who closes it waits: that is this process if the service was faster.
    threading.Thread(target=heavy.close, daemon=True).start()
print("sent", flush=True)
time.sleep(600)
`;

test("descriptors whose close waits hold up neither the mounts of root nor those of other users", async () => {
  const host = await startForUsers(1);
  const read = await mountOfRoot(host);
  const sender = startScript(pythonAs(OTHER, LINGERING, usersSocket(host)), { timeoutMs: 150_000 });
  cleanUp(() => sender.kill());
  await sender.waitFor("sent");
  const home = await UserHome.make({ lower: { word: file("x") } }, host);
  await home.mount();
  expect(await home.sh("cat word")).toMatchObject({ stdout: "x" });
  await read();
});

/** It connects as fast as it can, keeps many connections for a while, and asks for nothing. */
const CROWDING = `
kept = []
while True:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.settimeout(5)
    try: client.connect(sys.argv[1])
    except OSError: continue
    kept.append(client)
    if len(kept) == 200:
        print("crowded", flush=True)
        kept = []
`;

test("a user who connects without end holds up the mounts of another user by moments", async () => {
  const host = await startForUsers(4);
  const crowd = startScript(pythonAs(OTHER, CROWDING, usersSocket(host)), { timeoutMs: 150_000 });
  cleanUp(() => crowd.kill());
  await crowd.waitFor("crowded");
  const read = await mountOfRoot(host);
  for (let round = 0; round < 3; round++) {
    const home = await UserHome.make({ lower: { word: file("x") } }, host);
    const command = await home.mount();
    expect(await home.sh("cat word")).toMatchObject({ stdout: "x" });
    command.kill("SIGTERM");
    await command.finished;
  }
  await read();
});

/** Each connection is closed before the service, which is stopped meanwhile, sees it. Then one is open and asks for nothing. */
const LEFT = `
def connected():
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.connect(sys.argv[1])
    return client
for _ in range(30): connected().close()
print("left", flush=True)
client = connected()
client.settimeout(120)
client.send(b"x")
print(client.recv(9000).decode().strip(), flush=True)
`;

test("connections that their users have left begin no process", async () => {
  const host = await startForUsers(4);
  process.kill(host.pid, "SIGSTOP");
  const user = startScript(pythonAs(USER, LEFT, usersSocket(host)), { timeoutMs: 150_000 });
  await user.waitFor("left");
  process.kill(host.pid, "SIGCONT");
  expect(await user.finished).toMatchObject({ code: 0, stdout: text("the request is malformed") });
  expect(host.log().match(/a user begins a mount/g)).toHaveLength(1);
});

const ASKS = `
client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
client.connect(sys.argv[1])
client.settimeout(60)
try: client.send(b"x")
except BrokenPipeError: pass
def answer():
    # The kernel tells first that nobody read the request.
    try: return client.recv(9000)
    except ConnectionResetError: return client.recv(9000)
print(answer().decode().strip(), flush=True)
`;

test("a service without a descriptor left answers each user, keeps none of their descriptors, and goes on", async () => {
  const host = await startForUsers(4);
  const read = await mountOfRoot(host);
  const ask = (): RunningScript => startScript(pythonAs(USER, ASKS, usersSocket(host)), { timeoutMs: 100_000 });
  expect(await ask().finished).toMatchObject({ code: 0, stdout: text("the request is malformed") });
  const highest = Math.max(...readdirSync(`/proc/${host.pid}/fd`).map(Number));
  const asked: RunningScript[] = [];
  for (let more = 0; more <= 9; more++) {
    await runScript(["prlimit", "--pid", `${host.pid}`, `--nofile=${highest + more}:`]);
    asked.push(ask());
    // The service looks again after a tenth of it.
    await sleep(1_000);
  }
  await runScript(["prlimit", "--pid", `${host.pid}`, "--nofile=4096:"]);
  for (const { finished } of asked) expect(await finished).toMatchObject({ code: 0, stdout: text("sluice: ") });
  expect(await ask().finished).toMatchObject({ code: 0, stdout: text("the request is malformed") });
  await read();
  expect(host.log()).not.toContain('"level":50');
});

/** One user with a hundred ids in a namespace of its own, as newuidmap(1) gives them, connects as each of them. */
const MANY_IDS = `
import ctypes, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
uid, path = int(sys.argv[2]), sys.argv[1]
ready, mapped = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    os.setgroups([]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)
    if libc.unshare(0x10000000) != 0: os._exit(9)
    libc.prctl(4, 1, 0, 0, 0)
    os.write(ready[1], b"r"); os.read(mapped[0], 1)
    for id in range(1, 21):
        if os.fork() == 0:
            os.setgroups([]); os.setresgid(id, id, id); os.setresuid(id, id, id)
            client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            client.connect(path)
            client.settimeout(60)
            print(client.recv(9000).decode().strip(), flush=True)
            os._exit(0)
        os.wait()
    os._exit(0)
os.read(ready[0], 1)
for name in ("uid_map", "gid_map"):
    with open(f"/proc/{child}/{name}", "w") as file: file.write(f"0 {uid} 1\\n1 300000 100\\n")
os.write(mapped[1], b"m")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
`;

test("a user with many ids in a user namespace begins no mount for each of them", async () => {
  const host = await startForUsers(1);
  const { code, stdout, stderr } = await runScript(["python3", "-c", MANY_IDS, usersSocket(host), `${USER.uid}`]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const lines = stdout.trim().split("\n");
  expect(lines).toHaveLength(20);
  for (const line of lines) expect(line).toContain("is in a user namespace (EPERM)");
  expect(host.log()).not.toContain("a user begins a mount");
});
