/**
 * Opens of 64 processes on a mount whose decision services come, go, freeze and talk nonsense while the policy changes ten
 * times: none is granted that the policy in force denies, none fails but while nobody at all could be asked.
 */
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { mountSluice, plant, requires, scratch, type SluiceMount } from "@sluice/testkit";
import { Errno } from "@sluice/vfs";
import { expect } from "vitest";
import { startNoise, startNonsense } from "./harness/garbage-replica.js";
import { Load, type Open } from "./harness/load.js";
import { type LogLine, Replica } from "./harness/replicas.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const PROCESSES = 64;
const FILES = 12;

/** `turn` is denied by odd revisions. What is below `asked` is asked each time. */
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

interface Reign {
  revision: number;
  /** From when on the mount knew of it, and until when no newer one was written. */
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
      .poll(async () => (await told(mount)).decider.revision?.sequence, { timeout: 30_000, interval: 100 })
      .toBe(String(revision));
    this.reigns.push({ revision, fromMs: Date.now(), toMs: Number.POSITIVE_INFINITY });
  }

  /** What each open got that the policy in force did not give. */
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

/** Questions and kept answers in the logs, each counted once however often it was put or told. */
function logged(lines: readonly LogLine[]): { asked: number; kept: number } {
  const asked = new Set(lines.flatMap(({ question_id }) => question_id ?? []));
  const reports = new Map<string, number>();
  for (const { report_id, decision_id, count } of lines) if (count !== undefined) reports.set(`${report_id} ${decision_id}`, count);
  return { asked: asked.size, kept: [...reports.values()].reduce((one, other) => one + other, 0) };
}

async function mounted(policy: Policy, sockets: string, args: readonly string[] = []): Promise<SluiceMount> {
  const mount = await mountSluice({ lowers: [tree()], args: ["--decision", `unix://${sockets}/*.sock`, ...args] });
  policy.mount = mount;
  policy.reigns.push({ revision: policy.revision, fromMs: Date.now(), toMs: Number.POSITIVE_INFINITY });
  return mount;
}

test("replicas come, go, freeze and talk nonsense while the policy changes", async () => {
  const sockets = scratch();
  const policy = new Policy();
  await policy.change();
  const start = (name: string): Promise<Replica> => Replica.start(sockets, name, policy.file);
  const [one, two] = [await start("one"), await start("two")];
  const mount = await mounted(policy, sockets, ["--decision-timeout", "20s"]);
  const load = Load.start(PROCESSES, filesOf(mount));
  await policy.change();

  const [three, four] = [await start("three"), await start("four")];
  await expect.poll(() => Math.min(three.log().length, four.log().length), { timeout: 30_000 }).toBeGreaterThan(0);
  for (const replica of [three, four]) {
    const firstMs = Date.parse(replica.log()[0]?.timestamp ?? "");
    process.stderr.write(`a new replica was asked ${firstMs - replica.listensMs} ms after it listened\n`);
  }
  await policy.change();

  await startNoise(sockets);
  const { revision } = (await told(mount)).decider;
  const hush = await startNonsense(sockets, { sequence: BigInt(revision?.sequence ?? 0), digest: revision?.digest ?? "" });
  await sleep(2_000);
  hush();
  await policy.change();

  await one.end("SIGKILL");
  await policy.change();
  two.signal("SIGSTOP");
  await policy.change();
  await sleep(2_000);
  await policy.change();
  two.signal("SIGCONT");
  await policy.change();
  await three.end("SIGTERM");
  await policy.change();

  const fromMs = Date.now();
  await Promise.all([two.end("SIGKILL"), four.end("SIGKILL")]);
  await sleep(500);
  await start("five");
  await expect.poll(async () => (await told(mount)).decider.state, { timeout: 30_000 }).toBe("ready");
  const blackout = { fromMs, toMs: Date.now() };
  await policy.change();
  await policy.change();
  const opens = await load.stop();

  expect(policy.revision).toBe(11);
  expect(policy.wrong(opens, blackout).slice(0, 5)).toEqual([]);
  for (const directory of ["open", "secret", "turn", "asked"]) {
    expect(opens.filter(({ file }) => file.includes(`/${directory}/`)).length).toBeGreaterThan(100);
  }
  // One decision an open, wherever it came from; what was open as the policy changed was judged once more.
  expect(sum((await told(mount)).decisions)).toBeGreaterThanOrEqual(opens.length);
  expect((await mount.stop()).code).toBe(0);
}, 300_000);

test("metrics and logs count every decision once", async () => {
  const sockets = scratch();
  const policy = new Policy();
  await policy.change();
  const replicas = [await Replica.start(sockets, "one", policy.file), await Replica.start(sockets, "two", policy.file)];
  const mount = await mounted(policy, sockets);
  const load = Load.start(PROCESSES, filesOf(mount));
  await sleep(5_000);
  const opens = await load.stop();
  const { decisions } = await told(mount);
  const of = (source: string): number => sum(Object.fromEntries(Object.entries(decisions).filter(([key]) => key.endsWith(`/${source}`))));
  expect(sum(decisions)).toBe(opens.length);
  expect(of("service") + of("hedge") + of("cache")).toBe(opens.length);
  // Reports of hits go out by the second.
  await expect
    .poll(() => logged(replicas.flatMap((replica) => replica.log())), { timeout: 20_000, interval: 500 })
    .toEqual({ asked: of("service") + of("hedge"), kept: of("cache") });
  expect((await mount.stop()).code).toBe(0);
  for (const replica of replicas) await replica.end("SIGTERM");
}, 120_000);
