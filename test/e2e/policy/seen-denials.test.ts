/**
 * A denial is seen by an operator, whoever answered: a cached answer's on the console of the decision service, in `sluice top`, in `sluice log`
 * of the mount and of the service, and in the metrics, with program, path and rule; and all counts add up with `sluice status`.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { startDecisionService } from "@sluice/service-decision";
import {
  cleanUp,
  freePort,
  mountSluice,
  mountsShareProcess,
  plant,
  policyOf,
  publicFile,
  requires,
  type RunningScript,
  runScript,
  runSluice,
  scratch,
  scriptOutput,
  type SluiceMount,
  soakBudgetMs,
  startScript,
} from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command python3");

const CLI = "packages/cli/bin/sluice.cjs";
const POLICY = policyOf("grant", { name: "no-secrets", path: "secrets/**", effect: "deny" });
const SECRETS = 300;
/** More than a second's names, in a soak a million. */
const OPENS = soakBudgetMs(0) > 0 ? 1_000_000 : 8_000;
const OPENERS = 4;
const PATIENCE_MS = 60_000;

interface Entry {
  effect: string;
  count: number;
  rule: string;
  path: string | null;
  program: string | null;
  pid: number | null;
  uid: number | null;
  source: string | null;
}
type Line = Entry | { missed: number };

interface Watched {
  mount: SluiceMount;
  /** `sluice log -f` of the mount, and of its decision service. */
  logs: { mount: RunningScript; service: RunningScript };
  metrics(): Promise<string>;
  /** The first opens: nothing is cached before. */
  console: string;
}

async function watched(): Promise<Watched> {
  const directory = scratch();
  const policy = join(directory, "policy.yaml");
  writeFileSync(policy, POLICY);
  const listen = { kind: "unix", path: join(directory, "d.sock") } as const;
  const service = await startDecisionService({ policy, listen, admin: "127.0.0.1:0" });
  cleanUp(() => service.drain(100));
  const secrets = Object.fromEntries(Array.from({ length: SECRETS }, (_, index) => [`secrets/${index}`, publicFile("s")]));
  const lower = plant(scratch(), { ...secrets, "secrets/token": publicFile("t"), open: publicFile("o") });
  const admin = `127.0.0.1:${await freePort()}`;
  const mount = await mountSluice({ lowers: [lower], args: ["--decision", service.target, "--admin", admin] });
  const console = `http://${service.adminAddress}`;
  const follow = (target: string): RunningScript => startScript([process.execPath, CLI, "log", "--follow", target], { timeoutMs: 600_000 });
  const logs = { mount: follow(mount.mountpoint), service: follow(console) };
  // Both follow from here on.
  await scriptOutput(["cat", mount.path("open")]);
  for (const log of [logs.mount, logs.service]) await expect.poll(() => sums(log), { timeout: PATIENCE_MS }).toEqual({ grant: 1 });
  return { mount, logs, console, metrics: async () => (await fetch(`http://${admin}/metrics`)).text() };
}

const linesOf = (log: RunningScript): Line[] =>
  log
    .stdout()
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line);

const entriesOf = (log: RunningScript): Entry[] => linesOf(log).filter((line): line is Entry => "effect" in line);

/** The entries with their counts added up that differ in the second and the process only. */
function joined(entries: readonly Entry[]): Entry[] {
  const all = new Map<string, Entry>();
  for (const entry of entries) {
    const { effect, rule, path, program, uid, source } = entry;
    const key = JSON.stringify([effect, rule, path, program, uid, source]);
    all.set(key, { ...entry, count: entry.count + (all.get(key)?.count ?? 0) });
  }
  return [...all.values()];
}

/** By effect; decisions that were too fast to be shown have none. */
function sums(log: RunningScript): Record<string, number> {
  const all: Record<string, number> = {};
  for (const line of linesOf(log)) {
    const key = "missed" in line ? "missed" : line.effect;
    all[key] = (all[key] ?? 0) + ("missed" in line ? line.missed : line.count);
  }
  return all;
}

function byEffect(decisions: Readonly<Record<string, number>>): Record<string, number> {
  const all: Record<string, number> = {};
  for (const [key, count] of Object.entries(decisions)) {
    const effect = key.split("/")[0] as string;
    all[effect] = (all[effect] ?? 0) + count;
  }
  return all;
}

test("a denial by a cached answer is on the console, in top, in log and in metrics, with program, path and rule", async () => {
  const { mount, logs, metrics, console } = await watched();
  const opened = await runScript(["sh", "-c", `for i in 1 2 3; do cat "$0"; done`, mount.path("secrets/token")]);
  expect(opened.code).not.toBe(0);
  const cached = {
    effect: "deny",
    rule: "no-secrets",
    path: "secrets/token",
    program: expect.stringMatching(/\/(cat|coreutils)$/),
    uid: 0,
    count: 2,
  };
  for (const log of [logs.mount, logs.service])
    await expect
      .poll(() => joined(entriesOf(log).filter(({ source }) => source === "cache")), { timeout: PATIENCE_MS })
      .toEqual([expect.objectContaining({ ...cached, source: "cache", pid: expect.any(Number) })]);
  // The first one was a question, and its program is shown, too.
  for (const log of [logs.mount, logs.service])
    expect(entriesOf(log).filter(({ source, effect }) => source === "service" && effect === "deny")).toEqual([
      expect.objectContaining({ ...cached, source: "service", count: 1, pid: expect.any(Number) }),
    ]);
  const top = await mount.cli("top", "--once");
  expect(top.stdout).toMatch(
    /^DENIED +PATH, A SECOND +RULE +PROGRAM +PID +UID\n\S+ +secrets\/token +no-secrets +\S+\/(cat|coreutils) +\d+ +0$/m,
  );
  expect(await metrics()).toContain('sluice_rule_decisions_total{rule="no-secrets",effect="deny"} 3\n');
  for (const target of [mount.mountpoint, console]) {
    const newest = async (...filter: string[]): Promise<string> => (await runSluice(["log", target, ...filter])).stdout;
    const shown = await newest("--denied", "--path", "secrets/*", "--rule", "no-secrets", "--uid", "0");
    const entries = shown.split("\n").slice(0, -1);
    expect(
      joined(entries.map((line) => JSON.parse(line) as Entry))
        .map(({ count }) => count)
        .toSorted((one, other) => one - other),
    ).toEqual([1, 2]);
    for (const filter of [
      ["--uid", "1"],
      ["--rule", "other"],
      ["--path", "elsewhere/**"],
    ])
      expect(await newest(...filter), filter.join(" ")).toBe("");
  }
  await mount.stop();
  expect((await logs.mount.finished).code).toBe(0);
  logs.service.kill();
});

/** Opens secrets at random, and every tenth time the file that is granted. */
const OPENER = `
import os, random, sys
root, opens, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
draw = random.Random(seed)
for turn in range(opens):
    try:
        os.close(os.open(root + ("/open" if turn % 10 == 0 else "/secrets/%d" % draw.randrange(${SECRETS})), os.O_RDONLY))
    except PermissionError:
        pass
`;

test("the counts of all reports add up with status, although most decisions of a second get no name", async () => {
  const { mount, logs, metrics } = await watched();
  const open = (seed: number): Promise<string> =>
    scriptOutput(["python3", "-c", OPENER, mount.mountpoint, String(OPENS / OPENERS), String(seed)], { timeoutMs: 600_000 });
  await Promise.all(Array.from({ length: OPENERS }, (_, seed) => open(seed)));
  const { decisions } = JSON.parse((await mount.cli("status", "--json")).stdout) as { decisions: Record<string, number> };
  const counted = byEffect(decisions);
  expect(counted).toEqual({ grant: OPENS / 10 + 1, deny: (OPENS / 10) * 9 });
  await expect.poll(() => sums(logs.mount), { timeout: PATIENCE_MS }).toEqual(counted);
  const total = (all: Record<string, number>): number => Object.values(all).reduce((sum, count) => sum + count, 0);
  await expect.poll(() => total(sums(logs.service)), { timeout: PATIENCE_MS }).toBe(OPENS + 1);
  // It is sampled, and says so.
  expect(entriesOf(logs.mount).filter(({ path }) => path === null).length).toBeGreaterThan(0);
  const exported = await metrics();
  expect(exported).toContain(`sluice_rule_decisions_total{rule="no-secrets",effect="deny"} ${counted["deny"]}\n`);
  const unnamed = entriesOf(logs.mount).reduce(
    (sum, { path, effect, count }) => (path === null && effect === "deny" ? sum + count : sum),
    0,
  );
  expect(exported).toContain(`sluice_unnamed_denials_total ${unnamed}\n`);
  await mount.stop();
  logs.service.kill();
}, 600_000);

test("a denial that no service could be asked about is in top and in log, and on the console of the next service", async () => {
  const directory = scratch();
  const policy = join(directory, "policy.yaml");
  writeFileSync(policy, policyOf("grant"));
  const listen = { kind: "unix", path: join(directory, "d.sock") } as const;
  const first = await startDecisionService({ policy, listen });
  cleanUp(() => first.drain(100));
  const lower = plant(scratch(), { "secrets/token": publicFile("t") });
  const mount = await mountSluice({ lowers: [lower], args: ["--decision", first.target, "--on-outage", "deny"] });
  await first.drain(100);
  await expect
    .poll(async () => ((await mount.status()) as { decider: { state: string } }).decider.state, { timeout: PATIENCE_MS })
    .toBe("outage");
  expect((await runScript(["cat", mount.path("secrets/token")])).code).toBe(1);
  const program = expect.stringMatching(/\/(cat|coreutils)$/);
  const denied = { effect: "deny", source: "outage", path: "secrets/token", program, uid: 0, pid: expect.any(Number), count: 1 };
  const newest = async (target: string): Promise<Entry[]> => {
    const { stdout } = await runSluice(["log", target, "--denied"]);
    return stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Entry);
  };
  await expect.poll(() => newest(mount.mountpoint), { timeout: PATIENCE_MS }).toEqual([expect.objectContaining(denied)]);
  const [{ rule }] = (await newest(mount.mountpoint)) as [Entry];
  const top = await mount.cli("top", "--once");
  expect(top.stdout).toMatch(new RegExp(`^\\S+ +secrets/token +${rule} +\\S+/(cat|coreutils) +\\d+ +0$`, "m"));
  const next = await startDecisionService({ policy, listen, admin: "127.0.0.1:0" });
  cleanUp(() => next.drain(100));
  await expect
    .poll(() => newest(`http://${next.adminAddress}`), { timeout: PATIENCE_MS })
    .toEqual([expect.objectContaining({ ...denied, rule })]);
});

test("log goes on with the server that takes over, and ends with the mount", async () => {
  const lower = plant(scratch(), { "secrets/token": publicFile("t") });
  const mount = await mountSluice({ lowers: [lower], policy: POLICY, args: ["--keeper", "on"] });
  const log = startScript([process.execPath, CLI, "log", "-f", "--denied", mount.mountpoint], { timeoutMs: 120_000 });
  const denied = async (): Promise<void> => {
    expect((await runScript(["cat", mount.path("secrets/token")])).code).toBe(1);
  };
  const sum = (): number | undefined => sums(log)["deny"];
  await denied();
  await expect.poll(sum, { timeout: PATIENCE_MS }).toBe(1);
  const before = mount.serverPid;
  mount.signalServer("SIGKILL");
  await expect.poll(() => mount.serverPid, { timeout: PATIENCE_MS }).not.toBe(before);
  await denied();
  await expect.poll(sum, { timeout: PATIENCE_MS }).toBe(2);
  await mount.stop();
  expect((await log.finished).code).toBe(0);
}, 120_000);
