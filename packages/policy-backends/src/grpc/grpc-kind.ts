/** `kind: grpc`: another decision service of Sluice. It says itself what it looked at, so its answers are cached like ours. */
import { type Decision, factNeedsOf, factsLookedFor, type Question, WANTS_MAY_MATCH } from "@sluice/decision-api";
import type { TlsFiles } from "@sluice/decision-client";
import { connectDecider, whenReady } from "@sluice/decision-client/connect";
import { z } from "zod";
import { abstains, type Ruling } from "../backend.js";
import type { Engine, HideRule, LoadContext, LooksAt, PolicyKind } from "../policy-kind.js";
import { forWantOf } from "../remote/remote-engine.js";
import { looksAtOf, REMOTE_REMEDIES, REMOTE_SHAPE, timeoutMsOf } from "../remote/remote-options.js";
import { unknownFacts } from "../unknown-facts.js";

const schema = z.strictObject({
  kind: z.literal("grpc"),
  revision: REMOTE_SHAPE.revision,
  timeout: REMOTE_SHAPE.timeout,
  target: z.string().min(1),
  tls: z
    .strictObject({
      caFile: z.string().min(1).optional(),
      certFile: z.string().min(1).optional(),
      keyFile: z.string().min(1).optional(),
      serverSan: z.string().min(1).optional(),
    })
    .optional(),
});
type GrpcOptions = z.infer<typeof schema>;
type Decider = ReturnType<typeof connectDecider>;

/** The other service may come later: until it does, questions are outages. */
const READY_MS = 2_000;

function tlsOf({ tls }: GrpcOptions, context: LoadContext): TlsFiles | undefined {
  if (tls === undefined) return undefined;
  const { caFile, certFile, keyFile, serverSan } = tls;
  const at = (name: string | undefined): string | undefined => (name === undefined ? undefined : context.resolve(name));
  return { caFile: at(caFile), certFile: at(certFile), keyFile: at(keyFile), serverSan };
}

function connect(options: GrpcOptions, context: LoadContext): Decider {
  try {
    return connectDecider({
      target: options.target,
      mount: context.id,
      clientVersion: "backend",
      tls: tlsOf(options, context),
      timeoutMs: timeoutMsOf(options),
      // The mount caches answers already: an answer that is cached twice is wrong twice as long.
      cache: { entries: 0 },
    });
  } catch (error) {
    const [problem = "", remedy] = (error as Error).message.split(/: (?=write )/);
    throw context.problem(["target"], problem, remedy ?? "correct it");
  }
}

class GrpcEngine implements Engine {
  readonly ruleCount = 0;
  readonly warnings = [];
  private underWay = 0;
  private onIdle: (() => void) | undefined;

  constructor(private readonly decider: Decider) {}

  get looksAt(): LooksAt {
    const known = this.decider.capabilities();
    if (known === undefined) return looksAtOf({}, "grpc");
    const { accesses, callerRules, asks } = known;
    return { accesses, ...factNeedsOf(known), ...(callerRules === undefined ? {} : { callerRules }), ...(asks === true ? { asks } : {}) };
  }

  /** The other service names no rules with its patterns. */
  get hides(): readonly HideRule[] {
    const globs = this.decider.capabilities()?.hiddenNames ?? [];
    return globs.length === 0 ? [] : [{ rule: "grpc", globs }];
  }

  remoteRevision = (): string => {
    const revision = this.decider.capabilities()?.revision;
    return revision === undefined ? "none" : `${revision.sequence}:${revision.digest}`;
  };

  onChange(listener: () => void): void {
    let told = this.remoteRevision();
    this.decider.onPolicyChange(() => {
      const now = this.remoteRevision();
      if (now === told) return;
      told = now;
      listener();
    });
  }

  async evaluate(question: Question): Promise<Ruling> {
    this.underWay++;
    try {
      // A person is asked here, by the service that the mount waits for.
      const asked = { ...question, lookedFor: this.wanting(question), mayAsk: undefined, awaitsPersonMs: undefined };
      const decision = await this.decider.decide(asked, undefined);
      return this.withUnsure(question, this.rulingOf(decision), decision.mayMatch);
    } finally {
      this.underWay--;
      if (this.underWay === 0) this.onIdle?.();
    }
  }

  private wanting({ lookedFor }: Question): readonly string[] {
    const known = this.decider.capabilities();
    return [...(lookedFor ?? (known === undefined ? [] : factsLookedFor(known))), WANTS_MAY_MATCH];
  }

  /** A service of an older version does not say whether a rule may match: then one denies. */
  private withUnsure(question: Question, ruling: Ruling, told: Decision["mayMatch"]): Ruling {
    if (told === "none") return ruling;
    if (told !== undefined) return { ...ruling, mayMatch: told };
    const [fact] = unknownFacts(question, this.looksAt);
    if (fact === undefined) return ruling;
    return { ...ruling, mayMatch: abstains(ruling) ? forWantOf(fact, question) : ruling };
  }

  private rulingOf({ effect, errno, rule, reason, obligations, rates, scope, onOutage, source }: Decision): Ruling {
    // What to do without a decision is for the mount to say, not for a guess made in between.
    if (source === "outage" || source === "stale") throw new Error(`the other decision service gives no decision: ${reason}`);
    const split = (this.decider.status().split?.length ?? 0) > 0;
    return { effect, errno, rule, reason, obligations, rates, onOutage, ...(split ? {} : { scope }) };
  }

  async dispose(): Promise<void> {
    if (this.underWay > 0)
      await new Promise<void>((resolve) => {
        this.onIdle = resolve;
      });
    await this.decider.close();
  }
}

export const grpcKind: PolicyKind<GrpcOptions> = {
  name: "grpc",
  schema,
  words: {
    keysAt: (path) => (path.length === 0 ? Object.keys(schema.shape) : ["caFile", "certFile", "keyFile", "serverSan"]),
    remedies: {
      ...REMOTE_REMEDIES,
      target: "write unix:///PATH.sock, HOST:PORT or dns:///HOST:PORT",
      tls: "write { caFile: …, certFile: …, keyFile: … }",
      serverSan: "write a name of the service's certificate, such as URI:spiffe://example.org/decision",
    },
  },
  async load(options, context) {
    const decider = connect(options, context);
    await whenReady(decider, READY_MS);
    return new GrpcEngine(decider);
  },
};
