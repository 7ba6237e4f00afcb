/** `sluice top` beside a mount: its counts match the work done, in a pipe and on a terminal, which it restores. */
import {
  Actor,
  descendantsOf,
  mountsShareProcess,
  mountSluice,
  plant,
  policyOf,
  publicFile,
  requires,
  type RunningScript,
  runScript,
  runSluice,
  scratch,
  startScript,
} from "@sluice/testkit";
import { Errno } from "@sluice/vfs";
import { expect } from "vitest";

const NEEDS = ["/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough"] as const;
mountsShareProcess();

const { test } = requires(...NEEDS, "pseudo-terminals");
const unattended = requires(...NEEDS);
const CLI = "packages/cli/bin/sluice.cjs";

const POLICY = policyOf("grant", { name: "keys", path: "**/*.pem", effect: "deny" }, { name: "metered", path: "m/**", effect: "mediate" });

interface Report {
  opens: Record<string, number>;
  decisions: Record<string, number>;
  rules: [string, Record<string, number>][];
  paths: { path: string; count: number }[];
  denied: { path: string; rule: string; program: string; uid: number; pid: number; count: number }[];
  requests: Record<string, { errors: number; durations: { count: number } }>;
  grants: number;
}

unattended.test("counts opens by I/O mode, by rule and by path", async () => {
  const lower = plant(scratch(), { a: publicFile("a"), "m/b": publicFile("b"), "k.pem": publicFile("k") });
  const mount = await mountSluice({ lowers: [lower], policy: POLICY });
  const actor = await Actor.start();
  for (let round = 0; round < 3; round++) await actor.do("contents", mount.path("a"));
  await actor.do("contents", mount.path("m/b"));
  await actor.do("contents", mount.path("k.pem"));
  const held = await actor.do("open", mount.path("a"), 0);
  // Attributes and names that do not exist are no errors.
  expect(await actor.do("getxattr", mount.path("a"), "user.none")).toBe(-Errno.ENODATA);
  expect(await actor.do("stat", mount.path("none"))).toBe(-Errno.ENOENT);
  const once = await mount.cli("top", "--once", "--json");
  const report = JSON.parse(once.stdout) as Report;
  expect(report).toMatchObject({ opens: { passthrough: 4, mediated: 1 }, grants: 1, requests: { OPEN: { errors: 1 } } });
  const failing = Object.entries(report.requests).filter(([, { errors }]) => errors > 0);
  expect(failing.map(([operation]) => operation)).toEqual(["OPEN"]);
  expect(report.requests["GETXATTR"]?.durations.count).toBeGreaterThan(0);
  expect(report.denied).toMatchObject([{ path: "k.pem", rule: "keys", program: process.execPath, pid: expect.any(Number), count: 1 }]);
  expect(Object.fromEntries(report.rules)).toEqual({
    default: { grant: 4, mediate: 0, ask: 0, deny: 0 },
    metered: { grant: 0, mediate: 1, ask: 0, deny: 0 },
    keys: { grant: 0, mediate: 0, ask: 0, deny: 1 },
  });
  expect(report.paths.map(({ path, count }) => `${path} ${count}`)).toEqual(["a 4", "m/b 1"]);
  const told = await mount.cli("top", "--once");
  expect(told.stdout).toMatch(/^opens .*80 % passthrough, 20 % mediated$/m);
  expect(told.stdout).toMatch(/^open now {4}1 passthrough; 1 grants in force, 0 of them revoked$/m);
  expect(told.stderr).toBe("");
  expect(held).toBeGreaterThan(0);
  await actor.stop();
  await mount.stop();
});

test("in a pipe and on a terminal without cursor control, prints one picture after another, and fails at the mount's end", async () => {
  const mount = await mountSluice({ lowers: [plant(scratch(), { a: publicFile("a") })] });
  const piped = startScript([process.execPath, CLI, "top", "--interval", "0.1", mount.mountpoint]);
  await piped.waitFor("every 0.1 s");
  const line = `"${process.execPath}" ${CLI} top --json --interval 0.1 ${mount.mountpoint} | head -n 1`;
  const ended = await runScript(["sh", "-c", line]);
  expect([ended.stderr, JSON.parse(ended.stdout)]).toMatchObject(["", { mountpoint: mount.mountpoint }]);
  const dumb = onTerminal(mount.mountpoint, "dumb");
  await dumb.waitFor("every 0.1 s");
  dumb.write("\u0003");
  expect((await dumb.finished).stdout).not.toContain("\u001b");
  expect((await runSluice(["top", "--interval", "soon", mount.mountpoint])).stderr).toBe(
    'sluice: --interval: "soon" is not a number of seconds of at least 0.1: write for instance 2\n',
  );
  await mount.stop();
  const { code, stderr } = await piped.finished;
  expect([code, stderr]).toEqual([4, expect.stringMatching(/^sluice: .*: nothing is mounted there \(EINVAL\): /)]);
});

/** Runs top in a terminal of 24 lines; returns the terminal's settings before and after, and the exit. */
function onTerminal(mountpoint: string, term = "xterm"): RunningScript {
  const command = `stty rows 24 cols 100; echo "before $(stty -g)"; "${process.execPath}" ${CLI} top --interval 0.1 ${mountpoint}; echo "code $?"; echo "after $(stty -g)"`;
  return startScript(["script", "-qec", command, "/dev/null"], { env: { TERM: term, SHELL: "/bin/sh" }, timeoutMs: 150_000 });
}

const TAKEN = "\u001b[?1049h\u001b[?25l\u001b[?7l";
const GIVEN_BACK = "\u001b[?7h\u001b[?25h\u001b[?1049l";

/** top takes the terminal once, and gives it back once with its old settings. */
function expectGivenBack(stdout: string, code: number): void {
  const [, before, end, after] = /^before (\S+)\r\n[^]*code (\d+)\r\nafter (\S+)\r\n$/m.exec(stdout) ?? [];
  expect([end, after]).toEqual([String(code), before]);
  expect(stdout.split(TAKEN)).toHaveLength(2);
  expect(stdout.split(GIVEN_BACK)).toHaveLength(2);
  expect(stdout).toContain(`${GIVEN_BACK}code ${code}\r\n`);
}

test("on a terminal, keys sort, filter and pause, and q restores the terminal", async () => {
  const mount = await mountSluice({ lowers: [plant(scratch(), { a: publicFile("a"), other: publicFile("b") })], policy: POLICY });
  const actor = await Actor.start();
  const terminal = onTerminal(mount.mountpoint);
  await terminal.waitFor("mediated    0 B/s");
  await terminal.waitFor("p pauses; s sorts: most first; / filters; q ends");
  terminal.write("s");
  await terminal.waitFor("s sorts: errors first");
  terminal.write("/oth");
  await terminal.waitFor("filter: oth_");
  terminal.write("\r");
  await terminal.waitFor('/ filters: "oth", Esc');
  const opening = (async () => {
    for (let round = 0; round < 30; round++) for (const name of ["a", "other"]) await actor.do("contents", mount.path(name));
  })();
  await terminal.waitFor(" other\u001b");
  await opening;
  terminal.write("p");
  await terminal.waitFor("PAUSED, p goes on");
  terminal.write("\u001b[Aq");
  const { stdout } = await terminal.finished;
  expectGivenBack(stdout, 0);
  expect(stdout).not.toContain(" a\u001b[K");
  await actor.stop();
  await mount.stop();
});

const ends: [how: string, end: (pid: number, terminal: RunningScript) => void][] = [
  ["SIGTERM", (pid) => process.kill(pid, "SIGTERM")],
  ["SIGHUP", (pid) => process.kill(pid, "SIGHUP")],
  ["Control-C", (_pid, terminal) => terminal.write("\u0003")],
];

for (const [how, end] of ends)
  test(`${how} restores the terminal`, async () => {
    const mount = await mountSluice({ lowers: [plant(scratch(), { a: publicFile("a") })] });
    const terminal = onTerminal(mount.mountpoint);
    await terminal.waitFor("every 0.1 s");
    const top = descendantsOf(terminal.pid).findLast(({ command }) => command.includes(" top "));
    if (top === undefined) throw new Error("top does not run");
    end(top.pid, terminal);
    expectGivenBack((await terminal.finished).stdout, 0);
    await mount.stop();
  });

test("on a terminal, waits for a mount that goes away, and restarts its counts when the mount is back", async () => {
  const lower = plant(scratch(), { a: publicFile("a") });
  const mount = await mountSluice({ lowers: [lower] });
  const terminal = onTerminal(mount.mountpoint);
  await terminal.waitFor("every 0.1 s");
  await mount.stop();
  await terminal.waitFor(" s, waiting for it: nothing is mounted there");
  expect(terminal.stdout()).toContain("AWAY for ");
  const again = await mountSluice({ lowers: [lower], mountpoint: mount.mountpoint });
  const actor = await Actor.start();
  await actor.do("contents", again.path("a"));
  await terminal.waitFor(" a\u001b[K");
  terminal.write("q");
  expectGivenBack((await terminal.finished).stdout, 0);
  await actor.stop();
  await again.stop();
});
