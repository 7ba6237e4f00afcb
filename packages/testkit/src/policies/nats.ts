// A real NATS server with JetStream for tests, from the system's package `nats-server`.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cleanUp } from "../clean-up.js";
import { freePort } from "../machine/free-port.js";

const START_MS = 60_000;

export class NatsServer {
  private child: ChildProcess | undefined;

  private constructor(
    private readonly directory: string,
    private readonly port: number,
  ) {}

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  /** `directory`: holds its streams, over a restart, too. */
  static async start(directory: string): Promise<NatsServer> {
    const server = new NatsServer(directory, await freePort());
    cleanUp(() => server.stop("SIGKILL"));
    await server.restart();
    return server;
  }

  /** At the same address, with its stored streams. */
  async restart(): Promise<void> {
    const child = spawn("nats-server", ["-js", "-sd", this.directory, "-a", "127.0.0.1", "-p", String(this.port)], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.child = child;
    let said = "";
    const ready = new Promise<void>((resolve) => {
      child.stderr.on("data", (chunk: Buffer) => {
        said = (said + chunk.toString()).slice(-4_000);
        if (said.includes("Server is ready")) resolve();
      });
    });
    const late = new Promise<never>((_, reject) => {
      setTimeout(() => reject(new Error(`nats-server does not serve: ${said}`)), START_MS).unref();
    });
    await Promise.race([ready, late]);
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
  }
}
