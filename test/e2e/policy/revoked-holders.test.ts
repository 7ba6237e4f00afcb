/** `--on-revoke` ends every holder that the policy does not allow a file any more, however the holder has it. */
import { writeFileSync } from "node:fs";
import {
  eventually,
  file,
  identifyProcess,
  isAlive,
  mountsShareProcess,
  mountSluice,
  plant,
  type ProcessIdentity,
  requires,
  scratch,
  type SluiceMount,
  startScript,
} from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires(
  ...(["/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough", "the machine's pid namespace", "command python3"] as const),
);
const AMPLE_MS = 60_000;
const FILES = ["f0", "f1", "f2", "f3", "f4"];

/** Holds the file in the way of that name, and waits. */
const HOLDER = `
import ctypes, os, sys, threading, time
path, way, uid = *sys.argv[1:3], int(sys.argv[3])
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
CLONE_FILES, CLONE_NEWNS, CLONE_NEWUSER, PROT_READ, MAP_SHARED = 0x400, 0x20000, 0x10000000, 1, 1

def hold(flags=os.O_RDWR):
    return os.open(path, flags)

def wait():
    print("held", flush=True)
    time.sleep(600)

def in_thread(act):
    thread = threading.Thread(target=act)
    thread.start()
    return thread

def alone():
    hold()
    wait()

def own_table():
    assert libc.unshare(CLONE_FILES) == 0
    alone()

def mapped(flags):
    fd = hold(flags)
    assert libc.mmap(None, 4096, PROT_READ, MAP_SHARED, fd, 0) not in (None, 2**64 - 1)
    os.close(fd)
    wait()

def alone_at_last():
    hold()
    while open(f"/proc/{os.getpid()}/stat").read().rsplit(")", 1)[1].split()[0] != "Z":
        time.sleep(0.01)
    wait()

if way == "first thread ended":
    in_thread(alone_at_last)
    libc.syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)
elif way == "descriptors of a thread":
    in_thread(own_table).join()
elif way == "other mount namespace":
    hold()
    assert libc.unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0
    wait()
elif way == "mapping that can be made writable":
    mapped(os.O_RDWR)
elif way == "mapping for reading":
    mapped(os.O_RDONLY)
elif way == "descriptor for reading":
    hold(os.O_RDONLY)
    wait()
else:
    alone()
`;

interface Held {
  script: ReturnType<typeof startScript>;
  process: ProcessIdentity;
}

async function mounted(): Promise<SluiceMount> {
  const lower = plant(scratch(), Object.fromEntries(FILES.map((name) => [name, file("content", { mode: 0o666 })])));
  const args = ["--on-revoke", "sigkill"];
  return mountSluice({ lowers: [lower], upper: plant(scratch(), {}), policy: "version: 1\ndefault: grant\n", args });
}

async function holder(mount: SluiceMount, uid: number, way: string, name = "f0"): Promise<Held> {
  const script = startScript(["python3", "-c", HOLDER, mount.path(name), way, String(uid)]);
  await script.waitFor("held");
  return { script, process: identifyProcess(script.pid) as ProcessIdentity };
}

const gone = async ({ process }: Held, how: string): Promise<void> =>
  eventually(`the holder by ${how} is gone`, AMPLE_MS, () => Promise.resolve(!isAlive(process)));

function edit(mount: SluiceMount, ...rules: string[]): void {
  writeFileSync(mount.policyFile as string, `version: 1\ndefault: grant\nrules:\n${rules.map((rule) => `  - { ${rule} }\n`).join("")}`);
}

async function over(...holders: Held[]): Promise<void> {
  for (const { script } of holders) script.kill();
  await Promise.all(holders.map(({ script }) => script.finished));
}

test("--on-revoke sigkill ends a holder whatever its threads, its namespaces and its descriptors are", async () => {
  const mount = await mounted();
  const ways = ["first thread ended", "descriptors of a thread", "other mount namespace", "mapping for reading", "descriptor"];
  // Each holds another file: the search for the holders of one finds all of its holders.
  const held = await Promise.all(ways.map(async (way, at) => ({ way, ...(await holder(mount, 12, way, FILES[at])) })));
  const spared = await holder(mount, 13, "mapping for reading", FILES[ways.indexOf("mapping for reading")]);
  edit(mount, 'name: no more, path: "f*", subject: { uid: 12 }, effect: deny');
  for (const one of held) await gone(one, one.way);
  expect(isAlive(spared.process)).toBe(true);
  await over(spared, ...held);
  await mount.stop();
}, 120_000);

test("--on-revoke sigkill ends the holders of a file that lose different accesses", async () => {
  const mount = await mounted();
  const writers = [await holder(mount, 12, "descriptor"), await holder(mount, 12, "mapping that can be made writable")];
  const reader = await holder(mount, 13, "descriptor for reading");
  const spared = [await holder(mount, 12, "descriptor for reading"), await holder(mount, 12, "mapping for reading")];
  edit(
    mount,
    'name: no writer, path: "f0", access: [write], subject: { uid: 12 }, effect: deny',
    'name: no reader, path: "f0", access: [read], subject: { uid: 13 }, effect: deny',
  );
  for (const one of [...writers, reader]) await gone(one, "an access that is denied");
  for (const { process } of spared) expect(isAlive(process)).toBe(true);
  await over(reader, ...writers, ...spared);
  await mount.stop();
}, 120_000);
