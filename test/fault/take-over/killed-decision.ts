/** A decision service apart from the mount, which is started again after each kill. */
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type RunningScript, scratch, startScript } from "@sluice/testkit";

const MAIN = fileURLToPath(new URL("../../../services/decision/bin/sluice-decision.cjs", import.meta.url));
const LIFE_MS = 3_600_000;

export class KilledDecision {
  readonly target: string;
  readonly #argv: readonly string[];
  readonly #policyFile: string;
  #service: RunningScript;
  #kills = 0;
  #over = false;

  private constructor(socket: string, policyFile: string) {
    this.target = `unix://${socket}`;
    this.#policyFile = policyFile;
    this.#argv = [process.execPath, MAIN, "decision", "--policy", policyFile, "--listen", this.target, "--log-level", "warn"];
    this.#service = this.#start();
  }

  /** Resolves when the service is ready. */
  static async start(policy: string): Promise<KilledDecision> {
    const directory = scratch();
    chmodSync(directory, 0o755);
    const policyFile = join(directory, "policy.yaml");
    writeFileSync(policyFile, policy);
    const decision = new KilledDecision(join(directory, "decision.sock"), policyFile);
    await decision.#service.waitFor("deciding at");
    return decision;
  }

  get kills(): number {
    return this.#kills;
  }

  edit(policy: string): void {
    writeFileSync(this.#policyFile, policy);
  }

  kill(): void {
    this.#kills++;
    this.#service.kill();
  }

  signal(signal: NodeJS.Signals): void {
    this.#service.kill(signal);
  }

  stop(): void {
    this.#over = true;
    this.#service.kill("SIGTERM");
  }

  #start(): RunningScript {
    const service = startScript(this.#argv, { timeoutMs: LIFE_MS });
    void service.finished.then(() => {
      if (!this.#over) this.#service = this.#start();
    });
    return service;
  }
}
