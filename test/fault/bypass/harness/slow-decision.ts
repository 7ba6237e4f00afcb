/** Decision services with late answers, as processes of their own: see plant-delays.mjs. */
import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type RunningScript, scratch, startScript } from "@sluice/testkit";

const PLANT = new URL("./plant-delays.mjs", import.meta.url).href;
const SERVICE = fileURLToPath(new URL("../../../../services/decision/bin/sluice-decision.cjs", import.meta.url));
const LIFE_MS = 24 * 3_600_000;

export interface SlowDecisionOptions {
  policy: string;
  /** Default 1. */
  replicas?: number;
  /** Longest random delay of an answer; 0 by default. */
  longestMs?: number;
  /** How long an open waits for a person; by default as long as in the service. */
  askTimeoutMs?: number;
  seed?: number;
}

export class SlowDecision {
  readonly policyFile: string;
  readonly #directory: string;
  readonly #options: SlowDecisionOptions;
  readonly #services: RunningScript[] = [];
  #holds = 0;

  private constructor(options: SlowDecisionOptions) {
    this.#options = options;
    this.#directory = scratch();
    chmodSync(this.#directory, 0o755);
    this.policyFile = join(this.#directory, "policy.yaml");
    writeFileSync(this.policyFile, options.policy);
  }

  /** Resolves when all replicas are ready. @throws if a replica would answer as fast as any other */
  static async start(options: SlowDecisionOptions): Promise<SlowDecision> {
    const decision = new SlowDecision(options);
    const { replicas = 1 } = options;
    for (let index = 0; index < replicas; index++) decision.#services.push(decision.#startOne(index));
    await Promise.all(decision.#services.map((service) => service.waitFor("deciding at")));
    if (!decision.#services.every((service) => service.stdout().includes("answers come late")))
      throw new Error("the delays were not planted: does plant-delays.mjs name the variable of the backend's class?");
    return decision;
  }

  /** For `sluice mount --decision`. */
  get target(): string {
    return `unix://${this.#directory}/*.sock`;
  }

  /**
   * Holds back the next answer about such a path. `held` resolves when a replica holds it. A caller with the very same question
   * meanwhile waits for the same answer: let another user act.
   */
  hold(paths: RegExp): { held: Promise<unknown> } {
    const name = `hold${++this.#holds}`;
    for (const service of this.#services) service.write(`hold ${name} ${paths.source}\n`);
    return { held: Promise.any(this.#services.map((service) => service.waitFor(`held ${name}\n`))) };
  }

  release(): void {
    for (const service of this.#services) service.write("release\n");
  }

  /** Ends one replica and starts another one instead. */
  async replace(index: number): Promise<void> {
    const old = this.#services[index];
    old?.kill();
    await old?.finished;
    rmSync(this.#socket(index), { force: true });
    const next = this.#startOne(index);
    this.#services[index] = next;
    await next.waitFor("deciding at");
  }

  signal(index: number, signal: "SIGSTOP" | "SIGCONT"): void {
    this.#services[index]?.kill(signal);
  }

  #socket(index: number): string {
    return join(this.#directory, `replica${index}.sock`);
  }

  #startOne(index: number): RunningScript {
    const { longestMs = 0, seed = 1, askTimeoutMs } = this.#options;
    const argv = [process.execPath, "--import", PLANT, SERVICE, "decision", "--policy", this.policyFile, "--log-level", "warn"];
    const asking = askTimeoutMs === undefined ? [] : ["--ask-timeout", `${askTimeoutMs}ms`];
    const env = {
      SLUICE_LONGEST_DELAY_MS: String(longestMs),
      SLUICE_DELAY_SEED: String(seed + index),
      SLUICE_DELAYED_POLICY: this.policyFile,
    };
    return startScript([...argv, "--listen", `unix://${this.#socket(index)}`, ...asking], { env, timeoutMs: LIFE_MS });
  }
}
