/** A caller that waits for a decision can be killed at any time, and no part of its request remains. */
import {
  Actor,
  eventually,
  grantsOf,
  layers,
  mountSluice,
  policyOf,
  publicFile,
  requires,
  type SluiceMount,
  startScript,
  statusOf,
  within,
} from "@sluice/testkit";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command perl");
const policy = policyOf(
  "grant",
  { name: "no", path: "denied", effect: "deny" },
  // Its answer is for this file alone.
  { name: "warm", path: "other/warm", effect: "grant", scope: "this" },
);
const AMPLE_MS = 60_000;
const WATCH_MS = 700;

async function frozen(timeout: string, ...args: string[]): Promise<{ mount: SluiceMount; thaw(): void }> {
  const tree = { f: publicFile("content"), "d/g": publicFile("g"), denied: publicFile("denied"), "other/warm": publicFile("warm") };
  const { lower, upper } = layers({ lower: tree });
  const mount = await mountSluice({ lowers: [lower], upper, policy, args: ["--decision-timeout", timeout, ...args] });
  const warm = await Actor.start();
  // The client may still be connecting until the first answer. That answer covers nothing else here.
  expect(await warm.do("open", mount.path("other/warm"), O.RDONLY)).toBeGreaterThan(0);
  await warm.stop();
  const pid = mount.decisionPid as number;
  process.kill(pid, "SIGSTOP");
  return { mount, thaw: () => void process.kill(pid, "SIGCONT") };
}

test("SIGINT and SIGKILL end callers that wait in open, create, rename and unlink", async () => {
  const { mount, thaw } = await frozen("10m");
  const calls: [string, ...unknown[]][] = [
    ["open", mount.path("f"), O.RDONLY],
    ["open", mount.path("f"), O.RDWR],
    ["open", mount.path("d/new"), O.CREAT | O.RDWR],
    ["rename", mount.path("d/g"), mount.path("h")],
    ["unlink", mount.path("denied")],
  ];
  for (const [i, [operation, ...args]] of calls.entries()) {
    const actor = await Actor.start();
    const call = actor.do(operation, ...args);
    await eventually("it waits", AMPLE_MS, async () => (await statusOf(mount)).engine.inFlight === 1);
    expect([operation, await within(WATCH_MS, call)]).toEqual([operation, "pending"]);
    actor.kill(i % 2 === 0 ? "SIGINT" : "SIGKILL");
    expect([operation, await within(AMPLE_MS, actor.exit)]).not.toEqual([operation, "pending"]);
    await eventually("nothing waits any more", AMPLE_MS, async () => (await statusOf(mount)).engine.inFlight === 0);
  }
  thaw();
  const actor = await Actor.start();
  expect(await actor.do("contents", mount.path("f"))).toBe("content");
  expect(await actor.do("open", mount.path("denied"), O.RDONLY)).toBe(-Errno.EACCES);
  expect(await actor.do("lstat", mount.path("d/new"))).toBe(-Errno.ENOENT);
  expect(await actor.do("lstat", mount.path("h"))).toBe(-Errno.ENOENT);
  expect(await grantsOf(mount)).toEqual([]);
  await actor.stop();
  await eventually("nothing waits any more", AMPLE_MS, async () => (await statusOf(mount)).engine.inFlight === 0);
  await mount.stop();
});

test("a caller's own timer does not end its wait: open, mkdir, rename and unlink succeed in the end", async () => {
  const { mount, thaw } = await frozen("10m");
  const script = String.raw`
    my $me = $$; $| = 1; $SIG{ALRM} = sub { print "alarm\n" };
    my $timer = fork; if ($timer == 0) { select(undef, undef, undef, 0.1) while kill "ALRM", $me; exit }
    chdir $ARGV[0] or die "chdir: $!";
    sysopen(F, "f", 0) or die "open: $!"; print "opened\n";
    mkdir "new" or die "mkdir: $!"; rename "d/g", "h" or die "rename: $!"; unlink "h" or die "unlink: $!";
    kill "KILL", $timer; print "done\n"`;
  const caller = startScript(["perl", "-e", script, mount.mountpoint], { timeoutMs: 150_000 });
  await eventually("it waits", AMPLE_MS, async () => (await statusOf(mount)).engine.inFlight === 1);
  expect(await within(WATCH_MS, caller.finished)).toBe("pending");
  thaw();
  const { stdout, stderr, code } = await caller.finished;
  expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
  expect(stdout).toMatch(/alarm\n[^]*opened\n[^]*done\n/);
  await mount.stop();
});

test("a crowd of callers killed at once leaves nothing, and other callers continue", async () => {
  const { mount, thaw } = await frozen("10m");
  const crowd = await Promise.all(Array.from({ length: 8 }, () => Actor.start()));
  const calls = crowd.map((actor) => actor.do("open", mount.path("f"), O.RDONLY));
  await eventually("all wait", AMPLE_MS, async () => (await statusOf(mount)).engine.inFlight === crowd.length);
  for (const actor of crowd.slice(1)) actor.kill("SIGKILL");
  expect(await within(AMPLE_MS, Promise.all(crowd.slice(1).map((actor) => actor.exit)))).not.toBe("pending");
  thaw();
  expect(await within(AMPLE_MS, calls[0] as Promise<number>)).toBeGreaterThan(0);
  expect((await grantsOf(mount)).map(({ pid }) => pid)).toEqual([crowd[0]?.pid]);
  await eventually("nothing waits any more", AMPLE_MS, async () => (await statusOf(mount)).engine.inFlight === 0);
  await crowd[0]?.stop();
  await mount.stop();
});

test("--on-outage mediate: an open waits for its deadline and is then mediated, a denial included", async () => {
  const { mount, thaw } = await frozen("1500ms", "--on-outage", "mediate");
  const actor = await Actor.start();
  const call = actor.do("open", mount.path("f"), O.RDONLY);
  expect(await within(WATCH_MS, call)).toBe("pending");
  const fd = (await within(AMPLE_MS, call)) as number;
  expect(fd).toBeGreaterThan(0);
  expect((await grantsOf(mount)).at(-1)).toMatchObject({ path: "f", mode: "mediated", pid: actor.pid });
  expect(await actor.do("read", fd, 10, 0)).toBe("content");
  expect((await statusOf(mount)).decisions["mediate/outage"]).toBeGreaterThan(0);
  thaw();
  await eventually(
    "the service decides again",
    AMPLE_MS,
    async () => (await actor.do("open", mount.path("denied"), O.RDONLY)) === -Errno.EACCES,
  );
  await actor.stop();
  await mount.stop();
});
