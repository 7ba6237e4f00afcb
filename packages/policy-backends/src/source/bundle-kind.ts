/** `kind: bundle`: a policy that a web server has, as one file or as a bundle in OPA's form, looked for again and again. */
import { z } from "zod";
import { durationMs, durationSchema } from "../document/duration.js";
import { SKIP_VERIFY_REMEDY, skipVerifySchema } from "../document/signatures.js";
import type { LoadContext, PolicyKind } from "../policy-kind.js";
import { REMOTE_REMEDIES, secretsOf } from "../remote/remote-options.js";
import { type FetchOptions, fetchBytes, Unfit } from "./fetch-bytes.js";
import { SourceEngine } from "./source-engine.js";

const schema = z.strictObject({
  kind: z.literal("bundle"),
  url: z.string().regex(/^https?:\/\/[^/]+/),
  poll: durationSchema.optional(),
  timeout: durationSchema.optional(),
  tokenFile: z.string().min(1).optional(),
  caFile: z.string().min(1).optional(),
  skipVerify: skipVerifySchema,
});
type BundleOptions = z.infer<typeof schema>;

const DEFAULT_POLL_MS = 30_000;
const DEFAULT_TIMEOUT_MS = 10_000;
const FIRST_RETRY_MS = 500;
/** How long the first delivery is waited for. A mount checks the policy once more for its message, within its 15 s for the service. */
const START_MS = 5_000;

/** It holds the event loop: a command has nothing else to wait for, and Node would end it with code 13. */
const sleep = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

/** For messages and logs: a password in the address is for the server alone. */
function shownUrl(url: string): string {
  return url.replace(/^(https?:\/\/)[^/?#]*@/, "$1");
}

class BundleEngine extends SourceEngine {
  private etag: string | undefined;
  private timer: NodeJS.Timeout | undefined;
  private failures = 0;
  private stopped = false;
  private readonly shown: string;

  constructor(
    private readonly fetching: FetchOptions,
    private readonly pollMs: number,
    private readonly place: LoadContext,
    skipVerify: boolean | undefined,
  ) {
    super(shownUrl(fetching.url), place, skipVerify);
    this.shown = shownUrl(fetching.url);
  }

  /** Rejects if no valid policy has come within the time for it. */
  async start(): Promise<void> {
    const untilMs = performance.now() + START_MS;
    let last = await this.look();
    while (last !== undefined && performance.now() < untilMs) {
      await sleep(FIRST_RETRY_MS);
      last = await this.look();
    }
    if (last !== undefined)
      throw this.place.problem(["url"], `the policy cannot be had: ${last.message}`, "start the server, or correct the address");
    if (!this.ready) throw this.place.problem(["url"], this.refusal()?.message ?? "it has no policy", "put one there that checks");
    this.schedule();
  }

  override async dispose(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await super.dispose();
  }

  /** Why nothing can be had; undefined where the server has answered. */
  private async look(): Promise<Error | undefined> {
    const { events } = this.place;
    try {
      const fetched = await fetchBytes(this.fetching, this.etag);
      this.failures = 0;
      events.sourceReached(this.shown);
      if (fetched.state === "new") {
        await this.offer({ bytes: fetched.bytes, sequence: undefined });
        // A refused one is tried again: its fault may pass, such as a thread that could not be started.
        this.etag = this.refusedForMs === undefined ? fetched.etag : undefined;
      }
      return undefined;
    } catch (cause) {
      const error = cause as Error;
      if (error instanceof Unfit) {
        this.refuse(error.message);
        // Else the policy in force, put there again, would be "not modified", and the refusal would stay.
        this.etag = undefined;
        return undefined;
      }
      this.failures++;
      events.sourceUnreachable(this.shown, error);
      return error;
    }
  }

  /** With chance in it, so that many replicas do not come at once; sooner after a failure, and then later and later. */
  private schedule(): void {
    if (this.stopped) return;
    const ms = this.failures === 0 ? this.pollMs : Math.min(this.pollMs, FIRST_RETRY_MS * 2 ** Math.min(this.failures, 10));
    this.timer = setTimeout(() => void this.look().finally(() => this.schedule()), ms * (0.75 + Math.random() / 2)).unref();
  }
}

export const bundleKind: PolicyKind<BundleOptions> = {
  name: "bundle",
  schema,
  words: {
    keysAt: (path) => (path.length === 0 ? Object.keys(schema.shape) : []),
    remedies: {
      ...REMOTE_REMEDIES,
      url: "write http://HOST/PATH or https://HOST/PATH",
      skipVerify: SKIP_VERIFY_REMEDY,
      poll: "write a whole number and ms, s, m or h, such as 30s",
    },
  },
  async load(options, context) {
    const { url, poll, timeout } = options;
    const timeoutMs = timeout === undefined ? DEFAULT_TIMEOUT_MS : durationMs(timeout);
    const pollMs = poll === undefined ? DEFAULT_POLL_MS : durationMs(poll);
    const engine = new BundleEngine({ url, timeoutMs, ...secretsOf(options, context) }, pollMs, context, options.skipVerify);
    try {
      await engine.start();
      return engine;
    } catch (error) {
      await engine.dispose();
      throw error;
    }
  },
};
