/** `sluice mount --engine fuse-native`: the same overlay and decisions, everything mediated, and nothing left behind. */
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { engineCapabilities } from "@sluice/engine-fuse-native";
import {
  file,
  mountSluice,
  mountTable,
  plant,
  policyOf,
  requires,
  runScript,
  scratch,
  type SluiceMount,
  startScript,
  threadStatuses,
  type Tree,
} from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "fuse-native", "command fusermount", "command getfattr");
const LOWER: Tree = { a: file("lower a"), "d/f": file("deep"), "d/g": file("g"), secret: file("secret") };

interface Status {
  engine: { name: string; passthrough: boolean; limits: Record<string, string>; inFlight: number };
  fallbacks: Record<string, number>;
  openFilesByMode: Record<string, number>;
  decisions: Record<string, number>;
  anomalies: number;
}

interface Served {
  mount: SluiceMount;
  upper: string;
  lower: string;
}

function layers(): { lower: string; upper: string } {
  return { lower: plant(scratch(), LOWER), upper: plant(scratch(), {}) };
}

async function serve(policy?: string): Promise<Served> {
  const { lower, upper } = layers();
  const mount = await mountSluice({
    lowers: [lower],
    upper,
    args: ["--engine", "fuse-native"],
    ...(policy === undefined ? {} : { policy }),
  });
  return { mount, lower, upper };
}

/** Runs a script in the mount; returns the lines of its output. */
async function lines(mount: SluiceMount, script: string): Promise<string[]> {
  const result = await runScript(["sh", "-c", script], { cwd: mount.mountpoint });
  return `${result.stdout}${result.stderr}`.split("\n").filter((line) => line !== "");
}

const status = async (mount: SluiceMount): Promise<Status> => (await mount.status()) as Status;

async function gone(mountpoint: string): Promise<boolean> {
  for (let tries = 0; tries < 600; tries++) {
    if (!mountTable().some((entry) => entry.mountpoint === mountpoint)) return true;
    await sleep(50);
  }
  return false;
}

test("reads, writes, names and attributes are the overlay's, and the lower layer does not change", async () => {
  const { mount, lower, upper } = await serve();
  expect(mount.readyLine).toContain("passthrough off; engine fuse-native");
  expect(await lines(mount, "cat a d/f; echo more >> a; cat a; mv d/f e; cat e; ls d; ln e h; stat -c %h e h")).toEqual([
    "lower a" + "deep" + "lower amore",
    "deepg",
    "2",
    "2",
  ]);
  expect(
    await lines(mount, "mkdir n; touch n/x; rm -r n; ln -s a l; readlink l; chmod 640 a; stat -c %a a; truncate -s 3 a; cat a; echo"),
  ).toEqual(["a", "640", "low"]);
  expect(readFileSync(`${lower}/a`, "utf8")).toBe("lower a");
  expect(readFileSync(`${upper}/a`, "utf8")).toBe("low");
  const { anomalies, engine } = await status(mount);
  expect([anomalies, engine.inFlight]).toEqual([0, 0]);
});

test("large reads and writes arrive complete", async () => {
  const { mount } = await serve();
  const script = "head -c 9000001 /dev/urandom > big; sha1sum < big; cat big | sha1sum; dd if=big bs=1000003 status=none | sha1sum";
  const [one, ...others] = await lines(mount, script);
  expect(new Set([one, ...others]).size).toBe(1);
});

test("mediates everything, counts each grant with its reason, and lists every limit in status", async () => {
  const { mount } = await serve();
  expect(await lines(mount, "exec 3< a; cat d/g; getfattr -n user.sluice.mode --only-values a; echo")).toEqual(["gmediated"]);
  const { engine, fallbacks, openFilesByMode } = await status(mount);
  expect(engine).toMatchObject({ name: "fuse-native", passthrough: false });
  expect(Object.keys(engine.limits)).toEqual(Object.entries(engineCapabilities).flatMap(([name, { has }]) => (has ? [] : [name])));
  expect(Object.keys(fallbacks).filter((reason) => fallbacks[reason] !== 0)).toEqual(["not-negotiated"]);
  expect(openFilesByMode["passthrough"] ?? 0).toBe(0);
  expect(mount.log()).toContain("no keeper and no upgrade with this engine");
});

test("a file stays complete after its last name and its directory's entry are removed, and no listing shows a hidden name", async () => {
  const { mount } = await serve();
  const script = "exec 3<> d/g; rm d/g d/f; ls -a d; echo late >&3; stat -Lc '%h %s' /proc/self/fd/3; cat /proc/self/fd/3; rmdir d; ls";
  expect(await lines(mount, script)).toEqual([".", "..", "0 5", "late", "a", "secret"]);
});

test("an open file survives a rename over it", async () => {
  const { mount } = await serve();
  expect(await lines(mount, "exec 3< a; mv d/f a; cat <&3; cat a; echo; ls -A")).toEqual(["lower adeep", "a", "d", "secret"]);
});

test("decisions are enforced as with the other engine", async () => {
  const { mount } = await serve(policyOf("grant", { name: "no", path: "secret", effect: "deny", errno: "EPERM" }));
  expect(await lines(mount, "cat a; echo; cat secret")).toEqual(["lower a", "cat: secret: Operation not permitted"]);
  const { decisions } = await status(mount);
  expect(decisions["deny/service"]).toBe(1);
});

test("judges a file by the other names that it got in the mount", async () => {
  const { mount } = await serve(policyOf("grant", { name: "no", path: "private/**", access: ["read"], effect: "deny" }));
  const script = "mkdir private; ln a private/a; cat a; cat private/a; rm private/a; cat a; echo";
  const denied = (name: string): string => `cat: ${name}: Permission denied`;
  expect((await lines(mount, script)).sort()).toEqual([denied("a"), denied("private/a"), "lower a"].sort());
});

test("refuses a policy that looks at the caller, and names its rules", async () => {
  const { lower, upper } = layers();
  const policy = policyOf(
    "grant",
    { name: "plain", path: "a", effect: "deny" },
    { name: "alice", subject: { uid: [1] }, effect: "deny" },
    { name: "who", when: "subject.gid == 1", effect: "deny" },
  );
  const failure = mountSluice({ lowers: [lower], upper, policy, args: ["--engine", "fuse-native"] });
  await expect(failure).rejects.toMatchObject({
    exit: { code: 2 },
    stderr: expect.stringMatching(/rules 'alice', 'who' look at who asks, which engine fuse-native does not know: use --engine devfuse/),
  });
  const served = await mountSluice({ lowers: [lower], upper, policy });
  expect(served.readyLine).not.toContain("fuse-native");
});

test("a killed server leaves no mount", async () => {
  const { mount } = await serve();
  await mount.kill();
  expect(await gone(mount.mountpoint)).toBe(true);
});

function waitsAtDevice(pid: number, tid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/task/${tid}/wchan`, "utf8").startsWith("fuse_dev");
  } catch {
    return false; // It has ended.
  }
}

test("libfuse's threads, which it cancels in the end, receive no signal", async () => {
  const { mount } = await serve();
  expect(await lines(mount, "cat a & cat d/f & cat d/g & wait; ls")).toContain("secret");
  // libfuse ends a thread that it no longer needs: such a one has no status any more.
  const atDevice = [...threadStatuses(mount.pid)].filter(([tid]) => waitsAtDevice(mount.pid, tid));
  expect(atDevice.length).toBeGreaterThan(0);
  for (const [, of] of atDevice) {
    const mask = BigInt(`0x${/^SigBlk:\t(\w+)$/m.exec(of)?.[1]}`);
    for (const name of ["SIGCHLD", "SIGTERM", "SIGUSR2"] as const)
      expect(mask & (1n << BigInt(constants.signals[name] - 1)), name).not.toBe(0n);
  }
});

test("an unmount from outside ends the server", async () => {
  const { mount } = await serve();
  await runScript(["umount", mount.mountpoint]);
  expect(await mount.exited).toEqual({ code: 0, signal: null });
});

test("a mount in use ends after its grace, and its users get an error", async () => {
  const { mount } = await serve();
  const user = startScript(["sh", "-c", "exec 3< a; echo open; read _; cat <&3"], { cwd: mount.mountpoint });
  await user.waitFor("open");
  await mount.stop();
  user.write("\n");
  expect((await user.finished).stderr).toMatch(/not connected/);
});
