/** Open files, locks, half-read listings and files without a name survive when the server is killed. */
import { linkSync, mkdirSync, readFileSync, statfsSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { plant, policyOf, requires, type RunningScript, runScript, runSluice, scratch, startScript, treeHash } from "@sluice/testkit";
import { expect } from "vitest";
import { type SupervisedMount, mountSupervised } from "./supervised-mount.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command python3");

const POLICY = policyOf(
  "grant",
  { name: "small", path: "small", effect: "mediate", obligations: { maxSizeBytes: 10, audit: "each-io" } },
  { name: "metered", path: "mediated*", effect: "mediate" },
);

/** Holds one object of each kind; checks all of them on each command. */
const HOLDER = `
import fcntl, os, sys
root = sys.argv[1]
at = lambda name: os.path.join(root, name)
lower = open(at("granted"), "rb")
mediated = open(at("mediated"), "r+b", buffering=0)
appended = open(at("mediated-log"), "ab", buffering=0)
small = open(at("small"), "r+b", buffering=0)
made = open(at("made"), "w+b", buffering=0)
made.write(b"before")
gone = open(at("gone"), "r+b", buffering=0)
os.unlink(at("gone"))
nameless = os.open(root, os.O_TMPFILE | os.O_RDWR)
os.write(nameless, b"nameless")
copied = open(at("copied"), "rb")
writer = open(at("copied"), "r+b", buffering=0)
writer.write(b"NEW")
os.mkdir(at("cwd")); os.chdir(at("cwd")); os.rmdir(at("cwd"))
fcntl.lockf(made, fcntl.LOCK_EX, 10, 5)
fcntl.flock(mediated, fcntl.LOCK_EX)
names = os.scandir(at("many"))
seen = [next(names).name for _ in range(10)]
print("holding", flush=True)
for line in sys.stdin:
    n = line.strip()
    if n == "end": break
    assert lower.seek(0) == 0 and lower.read() == b"granted content", "granted"
    os.pwrite(mediated.fileno(), n.encode(), 3)
    assert os.pread(mediated.fileno(), 1, 3) == n.encode(), "mediated"
    appended.write(n.encode())
    os.pwrite(small.fileno(), b"123", 0)
    try:
        os.pwrite(small.fileno(), b"x", 20)
        raise SystemExit("a write beyond the largest size was let through")
    except OSError as error:
        assert error.errno == 27, error
    made.write(n.encode())
    gone.seek(0); assert gone.read().startswith(b"gone"), "gone"
    assert os.fstat(gone.fileno()).st_nlink == 0
    os.pwrite(gone.fileno(), b"gone again", 0)
    assert os.pread(nameless, 8, 0) == b"nameless"
    copied.seek(0); old = copied.read(); assert old in (b"old content", b"NEW content"), old
    assert writer.seek(0) == 0 and writer.read(3) == b"NEW"
    assert os.stat(".").st_nlink >= 0
    seen += [next(names).name for _ in range(300)]
    print("fine " + n, flush=True)
seen += [entry.name for entry in names]
print("names", len(seen), len(set(seen)), flush=True)
`;

/** Another process finds the locks held. */
const RIVAL = `
import fcntl, sys
held = []
for name, how in (("made", "lockf"), ("mediated", "flock")):
    file = open(sys.argv[1] + "/" + name, "r+b")
    try:
        getattr(fcntl, how)(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.append(name)
print(",".join(held))
`;

const MANY = 1500;
const KILLS = 3;

function plantLower(): string {
  const lower = scratch();
  const files = {
    granted: "granted content",
    mediated: "mediated content",
    "mediated-log": "",
    small: "small",
    gone: "gone",
    copied: "old content",
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(lower, name), content);
  mkdirSync(join(lower, "many"));
  for (let i = 0; i < MANY / 2; i++) writeFileSync(join(lower, "many", `lower-${i}`), "");
  return lower;
}

async function afterKill(supervised: SupervisedMount): Promise<void> {
  const before = supervised.served;
  expect(supervised.killServer()).toBe(true);
  await expect.poll(() => supervised.served, { timeout: 60_000 }).toBeGreaterThan(before);
}

test("open files and locks of a process survive when the server is killed", async () => {
  const lower = plantLower();
  const before = treeHash(lower);
  const upper = join(scratch(), "upper");
  mkdirSync(join(upper, "many"), { recursive: true });
  for (let i = 0; i < MANY / 2; i++) writeFileSync(join(upper, "many", `upper-${i}`), "");
  const supervised = await mountSupervised({ lower, upper, policy: POLICY });
  const program = join(scratch(), "holder.py");
  writeFileSync(program, HOLDER);
  const rival = join(scratch(), "rival.py");
  writeFileSync(rival, RIVAL);
  const holder = startScript(["python3", program, supervised.mountpoint], { timeoutMs: 280_000 });
  await holder.waitFor("holding");
  for (let i = 1; i <= KILLS; i++) {
    await afterKill(supervised);
    holder.write(`${i}\n`);
    await holder.waitFor(`fine ${i}`);
    expect((await runScript(["python3", rival, supervised.mountpoint])).stdout.trim()).toBe("made,mediated");
    const { stdout } = await runSluice(["grants", "--json", supervised.mountpoint]);
    expect(stdout).toContain('"small"');
  }
  holder.write("end\n");
  expect((await holder.finished).stdout).toContain(`names ${MANY} ${MANY}`);
  expect((await supervised.mount.stop()).code).toBe(0);
  expect(treeHash(lower)).toBe(before);
}, 300_000);

/** Lists half of a directory, removes names that it has seen, and continues when it is told to. */
const LISTER = `
import os, sys
names = os.scandir(sys.argv[1])
seen = [next(names).name for _ in range(900)]
for name in seen[:300]: os.unlink(os.path.join(sys.argv[1], name))
print("half", flush=True)
sys.stdin.readline()
seen += [entry.name for entry in names]
print("names", len(seen), len(set(seen)), flush=True)
`;

test("a half-read listing continues in its order, whatever was removed meanwhile", async () => {
  const lower = plantLower();
  const upper = join(scratch(), "upper");
  mkdirSync(join(upper, "many"), { recursive: true });
  for (let i = 0; i < MANY / 2; i++) writeFileSync(join(upper, "many", `upper-${i}`), "");
  const supervised = await mountSupervised({ lower, upper });
  const program = join(scratch(), "lister.py");
  writeFileSync(program, LISTER);
  const lister = startScript(["python3", program, supervised.mount.path("many")], { timeoutMs: 120_000 });
  await lister.waitFor("half");
  await afterKill(supervised);
  lister.write("\n");
  expect((await lister.finished).stdout).toContain(`names ${MANY} ${MANY}`);
  expect((await supervised.mount.stop()).code).toBe(0);
}, 180_000);

/** Knows a file by one of its names, and by the other after the kill. */
const TWO_NAMES = `
import fcntl, os, sys
one = open(os.path.join(sys.argv[1], "one"), "r+b", buffering=0)
one.write(b"X")
print("written", flush=True)
sys.stdin.readline()
other = open(os.path.join(sys.argv[1], "other"), "r+b", buffering=0)
assert other.read(1) == b"X"
fcntl.flock(one, fcntl.LOCK_EX)
try:
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("two files")
except OSError:
    print("one file")
`;

test("a copied-up lower file of two names is one file for the next server", async () => {
  const lower = scratch();
  writeFileSync(join(lower, "one"), "content");
  linkSync(join(lower, "one"), join(lower, "other"));
  const upper = join(scratch(), "upper");
  mkdirSync(upper);
  const supervised = await mountSupervised({ lower, upper, args: ["--locks", "daemon"] });
  const writer = startScript(["python3", "-c", TWO_NAMES, supervised.mountpoint], { timeoutMs: 120_000 });
  await writer.waitFor("written");
  await afterKill(supervised);
  writer.write("\n");
  expect((await writer.finished).stdout).toContain("one file");
  expect((await supervised.mount.stop()).code).toBe(0);
}, 180_000);

const HELD_BYTES = 8 << 20;

test("a file that an earlier server registered is not held after it", async () => {
  const base = scratch({ on: "tmpfs", sizeMb: 32 });
  const upper = join(base, "upper");
  mkdirSync(upper);
  writeFileSync(join(upper, "f"), Buffer.alloc(HELD_BYTES));
  const supervised = await mountSupervised({ lower: scratch(), upper, args: ["--work", scratchBeside(base)] });
  const file = supervised.mount.path("f");
  for (let i = 0; i < 2; i++) expect(readFileSync(file)).toHaveLength(HELD_BYTES);
  await afterKill(supervised);
  const free = (): number => statfsSync(base).bavail * statfsSync(base).bsize;
  const before = free();
  unlinkSync(file);
  await expect.poll(() => free() - before).toBeGreaterThanOrEqual(HELD_BYTES);
  expect((await supervised.mount.stop()).code).toBe(0);
}, 120_000);

function scratchBeside(base: string): string {
  mkdirSync(join(base, "work"));
  return join(base, "work");
}

/** Takes a handle of each path; then, at each word, makes the kernel forget what it can, and prints the results of opening them. */
const HANDLES = `
import { fstatSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { native } from "@sluice/native";
const [root, taken, ...names] = process.argv.slice(1);
const take = (name) => {
  const bytes = Buffer.alloc(128);
  const both = native.nameToHandleAt(-100, root + "/" + name, 0, bytes);
  return { type: both >>> 16, bytes: [...bytes.subarray(0, both & 0xffff)] };
};
const handles = taken === "" ? names.map(take) : JSON.parse(taken);
const open = ({ type, bytes }) => {
  const mount = native.openat(-100, root, 0o200000, 0);
  const fd = native.openByHandleAt(mount, type, Buffer.from(bytes), 0);
  native.close(mount);
  if (fd < 0) return fd;
  const content = fstatSync(fd).isDirectory() ? "directory" : readFileSync(fd, "utf8");
  native.close(fd);
  return content;
};
console.log(JSON.stringify(handles));
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "end") process.exit(0);
  writeFileSync("/proc/sys/vm/drop_caches", "2");
  console.log(line + " " + JSON.stringify(handles.map(open)));
  for (const name of names) statSync(root + "/" + name);
  console.log("looked up again");
}
`;

test("a handle outlives a killed server, with and without the kernel's caches, and an unmount after it", async () => {
  const lower = plant(scratch(), { a: "a", "d/deep/b": "b", "d/deep/c": "c", e: "e" });
  const upper = join(scratch(), "upper");
  mkdirSync(upper);
  const [work, names] = [scratch(), ["a", "d/deep", "d/deep/b", "e"]];
  const contents = JSON.stringify(["a", "directory", "b", "e"]);
  const supervised = await mountSupervised({ lower, upper, args: ["--work", work] });
  const { mountpoint } = supervised;
  const script = (taken: string): RunningScript => startScript(HANDLES, { args: [mountpoint, taken, ...names], timeoutMs: 120_000 });
  const first = script("");
  await first.waitFor("]\n");
  const taken = first.stdout().trim();
  await afterKill(supervised);
  first.write("killed\n");
  await first.waitFor(`killed ${contents}`);
  await first.waitFor("looked up again");
  await afterKill(supervised);
  first.write("end\n");
  expect((await first.finished).code).toBe(0);
  expect((await supervised.mount.stop()).code).toBe(0);
  const again = await mountSupervised({ lower, upper, mountpoint, args: ["--work", work] });
  const second = script(taken);
  second.write("mounted\n");
  await second.waitFor(`mounted ${contents}`);
  second.write("end\n");
  expect((await second.finished).code).toBe(0);
  expect((await again.mount.stop()).code).toBe(0);
}, 180_000);
