/** Decision services as processes of their own, with their sockets in one directory. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { credentials, type ServiceError } from "@grpc/grpc-js";
import { plainQuestion, questionToProto, wire } from "@sluice/decision-api";
import { cleanUp } from "@sluice/testkit";

const MAIN = fileURLToPath(new URL("../../../services/decision/bin/sluice-decision.cjs", import.meta.url));

export interface LogLine {
  decision_id: string;
  question_id?: string;
  cached?: boolean;
  count?: number;
  report_id?: string;
  timestamp: string;
}

export class Replica {
  private constructor(
    private readonly child: ChildProcess,
    readonly socket: string,
    private readonly logFile: string,
    /** The time when it reported that it listens, in milliseconds since 1970. */
    readonly listensMs: number,
  ) {}

  /** Writes a decision log to a file, unless `more` names one. */
  static async start(directory: string, name: string, policyFile: string, more: readonly string[] = []): Promise<Replica> {
    const socket = join(directory, `${name}.sock`);
    const logFile = join(directory, `${name}-${Date.now()}.log`);
    const log = more.includes("--decision-log-config") ? [] : ["--decision-log", logFile];
    const args = ["--policy", policyFile, "--listen", `unix://${socket}`, "--log-level", "silent", ...log, ...more];
    const child = spawn(process.execPath, [MAIN, "decision", ...args], { stdio: ["ignore", "pipe", "inherit"] });
    cleanUp(() => {
      child.kill("SIGCONT");
      child.kill("SIGKILL");
    });
    await once(child.stdout as NonNullable<typeof child.stdout>, "data");
    return new Replica(child, socket, logFile, Date.now());
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const ended = this.child.exitCode === null && this.child.signalCode === null ? once(this.child, "exit") : undefined;
    this.child.kill(signal);
    await ended;
    // A killed service leaves its socket behind: the next one at the same place removes it.
    if (signal === "SIGKILL") rmSync(this.socket, { force: true });
  }

  /** Its report about its policy. */
  async capabilities(): Promise<wire.Capabilities> {
    const { capabilities } = await this.call<wire.GetCapabilitiesResponse>((client, done) => client.getCapabilities({}, done));
    if (capabilities === undefined) throw new Error("it says nothing of its policy");
    return capabilities;
  }

  /** Its decision on reading a file with these names. */
  async decide(...paths: readonly string[]): Promise<wire.Decision> {
    const plain = plainQuestion(paths[0] ?? "", "q");
    const question = questionToProto({ ...plain, resource: { ...plain.resource, paths } });
    const { decision } = await this.call<wire.DecideResponse>((client, done) => client.decide({ questionId: "q", question }, done));
    if (decision === undefined) throw new Error("it gives no decision");
    return decision;
  }

  private async call<Response>(
    how: (client: wire.DecisionServiceClient, done: (error: ServiceError | null, response: Response) => void) => unknown,
  ): Promise<Response> {
    const client = new wire.DecisionServiceClient(`unix:${this.socket}`, credentials.createInsecure());
    try {
      return await new Promise((resolve, reject) => how(client, (error, response) => (error === null ? resolve(response) : reject(error))));
    } finally {
      client.close();
    }
  }

  log(): LogLine[] {
    if (!existsSync(this.logFile)) return [];
    return readFileSync(this.logFile, "utf8")
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as LogLine);
  }
}
