/**
 * Volumes are published and unpublished while the driver is killed at random moments. The test is a kubelet that repeats a call until it
 * succeeds, as the kubelet does. Two pods read through all of it, one by passthrough and one mediated: no read of theirs fails.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import {
  eventually,
  plant,
  policyOf,
  publicFile,
  requires,
  type RunningScript,
  runSluice,
  soakBudgetMs,
  startScript,
} from "@sluice/testkit";
import { type Random, seededRandom } from "@sluice/testkit/random";
import { expect } from "vitest";
import { CsiNode, type Outcome, type PodVolume } from "./csi-node.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");

const SEED = Number(process.env["SLUICE_SEED"] ?? 7);
const BUDGET_MS = soakBudgetMs(3_000);
const IS_SOAK = process.env["SLUICE_SOAK_SECONDS"] !== undefined;
/** At least, however slow the machine is. */
const CYCLES = IS_SOAK ? 200 : 6;
const CALL_LIMIT_MS = 90_000;
/** Pods that come and go at the same time. */
const WORKERS = 3;
/** The kubelet's answer to these is to call again. */
const AGAIN: readonly number[] = [status.UNAVAILABLE, status.ABORTED, status.CANCELLED, status.DEADLINE_EXCEEDED];

/** Reads a file again and again, and keeps another descriptor open from the start. Prints how often, and the first failure. */
const READ = [
  "exec 3</mnt/file; n=0; echo reading",
  "while [ ! -e /mnt/.stop ] && [ $n -lt 1000000 ]; do",
  "  head -c 4 /mnt/file >/dev/null || { echo failed after $n; exit 1; }",
  "  n=$((n + 1)); [ $((n % 50)) -ne 0 ] || echo read $n; sleep 0.01",
  "done; head -c 4 <&3",
].join("\n");

async function untilOk<T>(call: () => Promise<Outcome<T>>): Promise<void> {
  for (const endMs = Date.now() + CALL_LIMIT_MS; Date.now() < endMs; ) {
    const { code, details } = await call();
    if (code === status.OK) return;
    if (!AGAIN.includes(code)) throw new Error(`the driver answered with code ${code}: ${details}`);
    await pause(25);
  }
  throw new Error("the call never succeeded");
}

function nodeWithSources(): Promise<CsiNode> {
  return CsiNode.start((node) => {
    plant(join(node.srv, "tree"), { file: publicFile("text") });
    const policies = Object.entries({ granted: policyOf("grant"), mediated: policyOf("mediate") }).map(([name, text]) => {
      writeFileSync(join(node.srv, `${name}.yaml`), text);
      return [name, join(node.srv, `${name}.yaml`)];
    });
    const lower = [join(node.srv, "tree")];
    return {
      roots: [node.srv],
      ephemeral: { totalBytes: "16Mi" },
      policies: Object.fromEntries(policies) as Record<string, string>,
      sources: {
        granted: { lower, policy: "granted" },
        mediated: { lower, policy: "mediated" },
        writable: { lower, upper: ["none", "ephemeral"] },
      },
    };
  });
}

const ATTRIBUTES: readonly Readonly<Record<string, string>>[] = [
  { source: "writable" },
  { source: "writable", upper: "ephemeral" },
  { source: "writable", upper: "ephemeral", maxSizeBytes: "1Mi" },
  { source: "granted" },
];

class Soak {
  cycles = 0;
  kills = 0;
  over = false;
  #calls = 0;
  readonly #endMs = Date.now() + BUDGET_MS;

  constructor(
    private readonly node: CsiNode,
    private readonly random: Random,
  ) {}

  get #goesOn(): boolean {
    return Date.now() < this.#endMs || this.cycles < CYCLES;
  }

  async worker(name: number): Promise<void> {
    for (let at = 0; this.#goesOn; at++) {
      const volume: PodVolume = { pod: `pod-${name}-${at}`, volume: "v", attributes: this.random.of(ATTRIBUTES) };
      await this.#ok(() => this.node.publish(volume));
      // A pod may be deleted while its volume is being published again.
      if (this.random.once(3)) await this.node.publish(volume);
      await this.#ok(() => this.node.unpublish(volume));
      this.cycles++;
    }
  }

  async #ok<T>(call: () => Promise<Outcome<T>>): Promise<void> {
    await untilOk(call);
    this.#calls++;
  }

  /** Kills no driver before a call of it has succeeded: on a slow machine no call would ever come through. */
  async killer(): Promise<void> {
    while (!this.over) {
      for (const before = this.#calls; !this.over && this.#calls === before; ) await pause(10);
      await pause(this.random.below(IS_SOAK ? 1_000 : 400));
      if (this.over) return;
      await this.node.killDriver();
      await this.node.startDriver();
      this.kills++;
    }
  }
}

async function startReader(node: CsiNode, volume: PodVolume): Promise<RunningScript> {
  await untilOk(() => node.publish(volume));
  const reader = startScript(node.podCommand(volume, READ), { timeoutMs: BUDGET_MS + 120_000 });
  await reader.waitFor("reading");
  return reader;
}

async function openFiles(node: CsiNode, volume: PodVolume): Promise<Record<string, number>> {
  const { stdout } = await runSluice(["status", node.target(volume), "--json"]);
  return (JSON.parse(stdout) as { openFilesByMode: Record<string, number> }).openFilesByMode;
}

const readsOf = (reader: RunningScript): number => Number(/.*read (\d+)/s.exec(reader.stdout())?.[1] ?? 0);

test(
  "pods come and go while the driver is killed, others read on, and nothing is left",
  async () => {
    const node = await nodeWithSources();
    const granted: PodVolume = { pod: "reader-1", volume: "granted", attributes: { source: "granted" } };
    const mediated: PodVolume = { pod: "reader-2", volume: "mediated", attributes: { source: "mediated" } };
    const readers = [await startReader(node, granted), await startReader(node, mediated)];
    expect(await openFiles(node, granted)).toMatchObject({ passthrough: expect.any(Number) as number });
    expect((await openFiles(node, granted))["passthrough"]).toBeGreaterThan(0);
    expect((await openFiles(node, mediated))["passthrough"] ?? 0).toBe(0);

    const soak = new Soak(node, seededRandom(SEED));
    const killer = soak.killer();
    const workers = Array.from({ length: WORKERS }, (_, name) => soak.worker(name));
    try {
      await Promise.all(workers);
    } finally {
      // A driver that it starts after the test would outlive the node.
      soak.over = true;
      await killer;
    }

    const before = readers.map(readsOf);
    await eventually("both readers read on", 30_000, () => readers.every((reader, at) => readsOf(reader) > (before[at] ?? 0)));
    for (const reader of readers) expect(reader.stdout()).not.toContain("failed");
    process.stdout.write(`soak csi: ${soak.cycles} cycles, ${soak.kills} kills of the driver, seed ${SEED}\n`);
    expect(soak.cycles).toBeGreaterThan(0);
    expect(soak.kills).toBeGreaterThan(0);
    for (const reader of readers) {
      reader.kill();
      await reader.finished;
    }
    for (const volume of [granted, mediated]) await untilOk(() => node.unpublish(volume));
    expect(node.leftovers()).toEqual([]);
    // A decision service ends by itself after the last mount of its policy.
    await expect.poll(() => node.childProcesses()).toEqual([]);
  },
  BUDGET_MS + 300_000,
);
