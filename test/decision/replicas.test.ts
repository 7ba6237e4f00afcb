/**
 * 64 processes open files on a mount whose decision services come, go, freeze and send malformed replies while the policy
 * changes ten times. No open is granted that the policy in force denies, and none fails unless no service at all could answer.
 */
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { mountSluice, plant, requires, scratch, type SluiceMount } from "@sluice/testkit";
import { Errno } from "@sluice/vfs";
import { expect } from "vitest";
import { startNoise, startNonsense } from "./harness/garbage-replica.js";
import { Load, type Open } from "./harness/load.js";
import { freeAddress, metric } from "./harness/metrics.js";
import { type LogLine, Replica } from "./harness/replicas.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const PROCESSES = 64;
const FILES = 12;

/** Odd revisions deny `turn`. Each open below `asked` asks a question. */
const policyText = (revision: number): string => `version: 1
revision: ${revision}
default: grant
rules:
  - { name: secret, path: "secret/**", effect: deny, errno: EPERM }
  - { name: turn, path: "turn/**", effect: ${revision % 2 === 1 ? "deny" : "grant"} }
  - { name: asked, path: "asked/**", effect: grant, ttl: 0ms }
`;

interface Told {
  decider: { revision: { sequence: string; digest: string } | null; state: string; replicas: { address: string; state: string }[] };
  decisions: Record<string, number>;
}
const told = async (mount: SluiceMount): Promise<Told> => (await mount.status()) as Told;
const sum = (counts: Record<string, number>): number => Object.values(counts).reduce((one, other) => one + other, 0);

/** The number of services that the mount can ask. */
const askable = async (mount: SluiceMount): Promise<number> =>
  (await told(mount)).decider.replicas.filter(({ state }) => state === "ready").length;
const scaledTo = (mount: SluiceMount, count: number): Promise<unknown> =>
  expect.poll(() => askable(mount), { timeout: 90_000, interval: 100 }).toBe(count) as Promise<unknown>;

interface Reign {
  revision: number;
  /** From the time when the mount knew the revision to the time when a newer one was written. */
  fromMs: number;
  toMs: number;
}

class Policy {
  readonly file = join(scratch(), "policy.yaml");
  readonly reigns: Reign[] = [];
  revision = 0;
  mount: SluiceMount | undefined;

  async change(): Promise<void> {
    const last = this.reigns.at(-1);
    if (last !== undefined) last.toMs = Date.now();
    this.revision++;
    writeFileSync(`${this.file}.new`, policyText(this.revision));
    renameSync(`${this.file}.new`, this.file);
    if (this.mount === undefined) return;
    const { mount, revision } = this;
    await expect
      .poll(async () => (await told(mount)).decider.revision?.sequence, { timeout: 90_000, interval: 100 })
      .toBe(String(revision));
    this.reigns.push({ revision, fromMs: Date.now(), toMs: Number.POSITIVE_INFINITY });
  }

  /** Every open whose result the policy in force did not give. */
  wrong(opens: readonly Open[], blackout: { fromMs: number; toMs: number }): string[] {
    return opens.flatMap((open) => {
      const nobody = open.endMs > blackout.fromMs && open.startMs < blackout.toMs;
      if (nobody && open.errno === Errno.EACCES) return [];
      const expected = this.expected(open);
      return expected.includes(open.errno) ? [] : [`${open.file} gave ${open.errno} from ${open.startMs} to ${open.endMs}`];
    });
  }

  private expected(open: Open): readonly number[] {
    if (open.file.includes("/secret/")) return [Errno.EPERM];
    if (!open.file.includes("/turn/")) return [0];
    const reign = this.reigns.find(({ fromMs, toMs }) => open.startMs >= fromMs && open.endMs <= toMs);
    if (reign === undefined) return [0, Errno.EACCES];
    return reign.revision % 2 === 1 ? [Errno.EACCES] : [0];
  }
}

function tree(): string {
  const lower = scratch();
  const names = Array.from({ length: FILES }, (_, index) => `f${index}`);
  for (const place of ["open", "secret", "turn", "asked"])
    plant(lower, Object.fromEntries(names.map((name) => [`${place}/${name}`, name])));
  return lower;
}

const filesOf = (mount: SluiceMount): string[] =>
  ["open", "secret", "turn", "asked"].flatMap((directory) =>
    Array.from({ length: FILES }, (_, index) => mount.path(directory, `f${index}`)),
  );

/** Questions and cached answers in the logs, each counted once however often it was sent or reported. */
function logged(lines: readonly LogLine[]): { asked: number; cached: number } {
  const asked = new Set(lines.flatMap(({ question_id }) => question_id ?? []));
  const reports = new Map<string, number>();
  for (const { report_id, decision_id, count } of lines) if (count !== undefined) reports.set(`${report_id} ${decision_id}`, count);
  return { asked: asked.size, cached: [...reports.values()].reduce((one, other) => one + other, 0) };
}

async function mounted(policy: Policy, sockets: string, args: readonly string[] = []): Promise<SluiceMount> {
  const mount = await mountSluice({ lowers: [tree()], args: ["--decision", `unix://${sockets}/*.sock`, ...args] });
  policy.mount = mount;
  policy.reigns.push({ revision: policy.revision, fromMs: Date.now(), toMs: Number.POSITIVE_INFINITY });
  return mount;
}

test("opens survive replicas that come, go, freeze and send malformed replies while the policy changes", async () => {
  const sockets = scratch();
  const policy = new Policy();
  await policy.change();
  const start = (name: string): Promise<Replica> => Replica.start(sockets, name, policy.file);
  const [one, two] = [await start("one"), await start("two")];
  const mount = await mounted(policy, sockets, ["--decision-timeout", "20s"]);
  const load = Load.start(PROCESSES, filesOf(mount));
  await policy.change();

  const added = async (names: readonly string[]): Promise<Replica[]> => {
    const replicas: Replica[] = [];
    for (const name of names) replicas.push(await start(name));
    await expect.poll(() => Math.min(...replicas.map((replica) => replica.log().length)), { timeout: 90_000 }).toBeGreaterThan(0);
    for (const replica of replicas) {
      const firstMs = Date.parse(replica.log()[0]?.timestamp ?? "");
      process.stderr.write(`a new replica was asked ${firstMs - replica.listensMs} ms after it listened\n`);
    }
    return replicas;
  };
  // From two to four, back to two, and to four again.
  const brief = await added(["brief", "short"]);
  await scaledTo(mount, 4);
  await policy.change();
  await Promise.all(brief.map((replica) => replica.end("SIGTERM")));
  await scaledTo(mount, 2);
  const [three, four] = (await added(["three", "four"])) as [Replica, Replica];

  await startNoise(sockets);
  const { revision } = (await told(mount)).decider;
  const hush = await startNonsense(sockets, { sequence: BigInt(revision?.sequence ?? 0), digest: revision?.digest ?? "" });
  await sleep(1_000);
  hush();
  await policy.change();

  await one.end("SIGKILL");
  await policy.change();
  two.signal("SIGSTOP");
  await policy.change();
  await sleep(1_000);
  await policy.change();
  two.signal("SIGCONT");
  await policy.change();
  await three.end("SIGTERM");
  await policy.change();

  const fromMs = Date.now();
  await Promise.all([two.end("SIGKILL"), four.end("SIGKILL")]);
  await sleep(500);
  await start("five");
  await expect.poll(async () => (await told(mount)).decider.state, { timeout: 90_000 }).toBe("ready");
  const blackout = { fromMs, toMs: Date.now() };
  await policy.change();
  await policy.change();
  const opens = await load.stop();

  expect(policy.revision).toBe(11);
  expect(policy.wrong(opens, blackout).slice(0, 5)).toEqual([]);
  for (const directory of ["open", "secret", "turn", "asked"]) {
    expect(opens.filter(({ file }) => file.includes(`/${directory}/`)).length).toBeGreaterThan(100);
  }
  // One decision for each open, from any source; files that were open when the policy changed were judged once more.
  expect(sum((await told(mount)).decisions)).toBeGreaterThanOrEqual(opens.length);
  expect((await mount.stop()).code).toBe(0);
}, 300_000);

/** Its decisions, counted once each, and the reports of repeated decisions by mounts. */
async function itself(replica: Replica, address: string): Promise<Record<string, [number, number]>> {
  const lines = replica.log();
  const cached = lines.reduce((sum, { count = 0 }) => sum + count, 0);
  return {
    decisions: [await metric(address, "sluice_evaluations_total"), lines.filter(({ cached }) => cached !== true).length],
    cached: [await metric(address, "sluice_cache_hits_reported_total"), cached],
    events: [await metric(address, "sluice_decision_log_events_total", 'result="sent"'), lines.length],
    lost: [await metric(address, "sluice_decision_log_events_total", 'result="dropped"'), 0],
  };
}

test("metrics and logs count every decision once while services come and go", async () => {
  const sockets = scratch();
  const policy = new Policy();
  await policy.change();
  const admins = [await freeAddress(), await freeAddress()];
  const staying = await Promise.all(
    admins.map((address, index) => Replica.start(sockets, `stays-${index}`, policy.file, ["--admin", address])),
  );
  const admin = await freeAddress();
  const mount = await mounted(policy, sockets, ["--admin", admin]);
  // Files that are open when a service comes are judged once more.
  await scaledTo(mount, 2);
  const steady = Load.start(PROCESSES, filesOf(mount));
  await sleep(1_500);
  const before = (await steady.stop()).length;
  expect(sum((await told(mount)).decisions)).toBe(before);

  const load = Load.start(PROCESSES, filesOf(mount));
  const leaving = [await Replica.start(sockets, "leaves-0", policy.file), await Replica.start(sockets, "leaves-1", policy.file)];
  await scaledTo(mount, 4);
  expect((await mount.cli("status")).stdout).toMatch(/^decider .*, ready, 4 of 4 replicas; /m);
  await sleep(1_500);
  await Promise.all(leaving.map((replica) => replica.end("SIGTERM")));
  await scaledTo(mount, 2);
  await sleep(1_000);
  const opens = before + (await load.stop()).length;

  const { decisions } = await told(mount);
  const of = (source: string): number => sum(Object.fromEntries(Object.entries(decisions).filter(([key]) => key.endsWith(`/${source}`))));
  // One for each open; files that were open when a service came were judged once more.
  expect(sum(decisions)).toBeGreaterThanOrEqual(opens);
  expect(of("service") + of("hedge") + of("cache")).toBe(sum(decisions));
  for (const source of ["service", "hedge", "cache"])
    expect(await metric(admin, "sluice_decisions_total", `source="${source}"`)).toBe(of(source));
  expect(await metric(admin, "sluice_decision_cache_hits_total")).toBe(of("cache"));
  // Reports of cache hits are sent every second.
  const all = [...staying, ...leaving];
  await expect
    .poll(() => logged(all.flatMap((replica) => replica.log())), { timeout: 90_000, interval: 500 })
    .toEqual({ asked: of("service") + of("hedge"), cached: of("cache") });
  for (const replica of leaving) expect(replica.log().length).toBeGreaterThan(0);
  for (const [index, replica] of staying.entries())
    for (const [counted, written] of Object.values(await itself(replica, admins[index] as string))) expect(counted).toBe(written);
  expect((await mount.stop()).code).toBe(0);
  for (const replica of staying) await replica.end("SIGTERM");
}, 300_000);
