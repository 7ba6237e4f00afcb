/** A decision service that answers as a test says, over real gRPC. Only for tests. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { wire } from "@sluice/decision-api";

export type Stream = ServerDuplexStream<wire.SessionRequest, wire.SessionResponse>;
export const DIGEST = "ab".repeat(32);
export const CAPABILITIES: wire.Capabilities = {
  revision: { sequence: 1n, digest: DIGEST },
  policyId: "p",
  accesses: [],
  needsGroups: false,
  needsExecutable: false,
  needsCgroup: false,
  xattrs: ["user.class"],
  headBytes: 0,
  needsDigest: false,
  unconditionalGrant: false,
  callerRules: [],
  hiddenNames: [],
  asks: false,
  refusedEdit: "",
  summary: "",
};

export function grantFor(id: bigint, change: Partial<wire.Decision> = {}): wire.Answer {
  const value = {
    effect: wire.Effect.GRANT,
    errno: 0,
    decisionId: `d-${id}`,
    policyId: "p",
    rule: "r",
    revision: { sequence: 1n, digest: DIGEST },
    reason: "",
    obligations: [],
    scope: undefined,
    onOutage: wire.OutageMode.UNSPECIFIED,
    pending: undefined,
    byPerson: false,
    rates: [],
    mayMatch: undefined,
    ...change,
  };
  return { id, result: { $case: "decision", value } };
}

export interface Script {
  batch(stream: Stream, questions: wire.PendingQuestion[]): void;
  cancel?(ids: bigint[]): void;
  welcome?(stream: Stream): void;
}

export function answer(stream: Stream, answers: wire.Answer[]): void {
  stream.write({ message: { $case: "batch", value: { answers } } });
}

export class ScriptedService {
  readonly path: string;
  streams: Stream[] = [];
  /** Everything that was reported, in order. */
  hits: wire.Hits[] = [];
  private server: Server | undefined;
  private readonly directory = mkdtempSync(join(tmpdir(), "sluice-client-"));

  constructor(
    public script: Script,
    private readonly overrides: Partial<wire.DecisionServiceServer> = {},
    private readonly withSession = true,
  ) {
    this.path = join(this.directory, "s.sock");
  }

  static readonly tellCapabilities: wire.DecisionServiceServer["getCapabilities"] = (_call, callback) =>
    callback(null, { capabilities: CAPABILITIES });

  get target(): string {
    return `unix://${this.path}`;
  }

  async start(): Promise<void> {
    rmSync(this.path, { force: true });
    const server = new Server();
    this.server = server;
    const session = (stream: Stream): void => {
      this.streams.push(stream);
      stream.on("error", () => undefined);
      stream.on("end", () => stream.end());
      stream.on("data", ({ message }: wire.SessionRequest) => {
        if (message?.$case === "hello") {
          if (this.script.welcome !== undefined) this.script.welcome(stream);
          else stream.write({ message: { $case: "welcome", value: { serverVersion: "t", capabilities: CAPABILITIES } } });
        } else if (message?.$case === "batch") this.script.batch(stream, message.value.questions);
        else if (message?.$case === "hits") {
          this.hits.push(...message.value.hits);
          stream.write({ message: { $case: "hitsTaken", value: { reportId: message.value.reportId } } });
        } else if (message?.$case === "cancel") this.script.cancel?.(message.value.ids);
      });
    };
    const { decide, getCapabilities } = wire.DecisionServiceService;
    const handlers = {
      watch: (() => undefined) as wire.DecisionServiceServer["watch"],
      decide: ((_call, callback) => callback({ code: 12 })) as wire.DecisionServiceServer["decide"],
      getCapabilities: ScriptedService.tellCapabilities,
      ...this.overrides,
    };
    if (this.withSession) server.addService(wire.DecisionServiceService, { ...handlers, session });
    else server.addService({ decide, getCapabilities }, handlers);
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(`unix:${this.path}`, ServerCredentials.createInsecure(), (error) => (error === null ? resolve() : reject(error))),
    );
  }

  /** Ends at once, as by SIGKILL. */
  kill(): void {
    this.server?.forceShutdown();
    this.streams = [];
  }

  end(): void {
    this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
