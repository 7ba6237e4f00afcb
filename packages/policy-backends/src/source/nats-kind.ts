/**
 * `kind: nats`: a policy in a bucket of NATS JetStream's key-value store. Every replica that watches the key comes to the
 * same revision, whose number is the bucket's own. An edit that does not check is refused by each of them; one that starts
 * while such an edit is the newest takes the newest before it that checks, as those hold it that were there.
 */
import type { KV, KvEntry } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/transport-node";
import { z } from "zod";
import { connectNats, type NatsServers } from "../nats/connect-nats.js";
import { NATS_REMEDIES, NATS_SHAPE, natsServers } from "../nats/nats-options.js";
import { SKIP_VERIFY_REMEDY, skipVerifySchema } from "../document/signatures.js";
import type { LoadContext, PolicyKind } from "../policy-kind.js";
import { SourceEngine } from "./source-engine.js";

const schema = z.strictObject({
  kind: z.literal("nats"),
  bucket: z.string().regex(/^[-\w]+$/),
  key: z
    .string()
    .regex(/^[-/_=.a-zA-Z0-9]+$/)
    .optional(),
  skipVerify: skipVerifySchema,
  ...NATS_SHAPE,
});
export type NatsPolicyOptions = z.infer<typeof schema>;

const DEFAULT_KEY = "policy";
/** Beside the watch, which may be lost with its server. */
const LOOK_MS = 5_000;
const WATCH_AGAIN_MS = 500;
/** Before an edit that was refused is tried again: its fault may pass, such as a thread that could not be started. */
const TRY_AGAIN_MS = 30_000;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The bucket, which must be there: its administrator makes it, who knows how many copies it needs. */
export async function openBucket(connection: NatsConnection, bucket: string): Promise<KV> {
  const { Kvm } = await import("@nats-io/kv");
  const kv = await new Kvm(connection).open(bucket);
  await kv.status();
  return kv;
}

class NatsEngine extends SourceEngine {
  private seen = 0;
  /** The time of the bucket's creation: a recreated one counts from 1 again. */
  private made = "";
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;
  private stopWatch: () => void = () => undefined;

  constructor(
    private readonly place: { source: string; key: string; context: LoadContext; skipVerify: boolean | undefined },
    private readonly connection: NatsConnection,
    private readonly kv: KV,
  ) {
    super(place.source, place.context, place.skipVerify);
  }

  /** Rejects where the bucket holds nothing that checks. */
  async start(): Promise<void> {
    this.made = await this.whenMade();
    const entries: KvEntry[] = [];
    for await (const entry of await this.kv.history({ key: this.place.key })) entries.push(entry);
    for (const entry of entries.reverse()) {
      if (entry.operation === "PUT") await this.offer({ bytes: Buffer.from(entry.value), sequence: BigInt(entry.revision) });
      if (this.ready) break;
    }
    if (!this.ready) throw new Error(this.refusal()?.message ?? `the bucket has no key '${this.place.key}'`);
    const [newest] = entries;
    this.seen = newest?.revision ?? 0;
    // If the newest one was invalid, its mistakes are why this one is not in force: try it once more, to report them.
    if (newest !== undefined && BigInt(newest.revision) !== this.deliveredRevision().sequence) await this.judge(newest);
    this.place.context.events.sourceReached(this.place.source);
    void this.watch();
    void this.follow();
    this.look();
  }

  override async dispose(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    this.stopWatch();
    await this.connection.close();
    await super.dispose();
  }

  private async whenMade(): Promise<string> {
    return String((await this.kv.status()).streamInfo.created);
  }

  /**
   * A lower number alone may be an answer of a server that is behind; of another bucket it is an edit, which is refused as
   * any with too low a number is, until the bucket has counted past what is in force.
   */
  private async followReset(): Promise<boolean> {
    const made = await this.whenMade();
    if (made === this.made) return false;
    this.made = made;
    this.seen = 0;
    this.stopWatch(); // of the bucket that is gone
    const { source, context } = this.place;
    context.events.sourceReset(source, this.deliveredRevision().sequence);
    return true;
  }

  private async take(entry: KvEntry): Promise<void> {
    const isDueAgain = entry.revision === this.seen && (this.refusedForMs ?? 0) >= TRY_AGAIN_MS;
    if (entry.revision <= this.seen && !isDueAgain) return;
    this.seen = entry.revision;
    await this.judge(entry);
  }

  private async judge(entry: KvEntry): Promise<void> {
    if (entry.operation === "PUT") await this.offer({ bytes: Buffer.from(entry.value), sequence: BigInt(entry.revision) });
    else this.refuse(`key '${this.place.key}' has been deleted: put a policy there`);
  }

  private async watch(): Promise<void> {
    while (!this.stopped) {
      try {
        const entries = await this.kv.watch({ key: this.place.key });
        this.stopWatch = () => entries.stop();
        for await (const entry of entries) await this.take(entry);
      } catch {
        // The look tells of it.
      }
      await new Promise((resolve) => void setTimeout(resolve, WATCH_AGAIN_MS).unref());
    }
  }

  /** Looks at once when the server is back. */
  private async follow(): Promise<void> {
    const { events } = this.place.context;
    for await (const status of this.connection.status()) {
      if (status.type === "disconnect") events.sourceUnreachable(this.place.source, new Error("the connection was lost"));
      if (status.type === "reconnect") void this.lookNow();
    }
  }

  private look(): void {
    if (this.stopped) return;
    this.timer = setTimeout(() => void this.lookNow().finally(() => this.look()), LOOK_MS * (0.75 + Math.random() / 2)).unref();
  }

  private async lookNow(): Promise<void> {
    const { source, key, context } = this.place;
    try {
      const reset = await this.followReset();
      const entry = await this.kv.get(key);
      context.events.sourceReached(source);
      if (entry !== null) await this.take(entry);
      else if (reset) this.refuse(`the bucket was recreated, without the key '${key}': put a policy there`);
    } catch (error) {
      if (!this.stopped) context.events.sourceUnreachable(source, new Error(messageOf(error)));
    }
  }
}

async function open(options: NatsPolicyOptions, servers: NatsServers, context: LoadContext): Promise<NatsEngine> {
  const key = options.key ?? DEFAULT_KEY;
  const source = `nats bucket ${options.bucket}, key ${key}`;
  const connection = await connectNats("sluice-decision", servers);
  try {
    const engine = new NatsEngine(
      { source, key, context, skipVerify: options.skipVerify },
      connection,
      await openBucket(connection, options.bucket),
    );
    await engine.start();
    return engine;
  } catch (error) {
    await connection.close();
    throw error;
  }
}

export const natsKind: PolicyKind<NatsPolicyOptions> = {
  name: "nats",
  schema,
  words: {
    keysAt: (path) => (path.length === 0 ? Object.keys(schema.shape) : []),
    remedies: {
      ...NATS_REMEDIES,
      skipVerify: SKIP_VERIFY_REMEDY,
      bucket: "write the name of a key-value bucket",
      key: "write the name of a key, such as policy",
    },
  },
  async load(options, context) {
    const servers = natsServers(options, context, (warning) => context.events.warned(warning));
    return open(options, servers, context).catch((error: unknown) => {
      throw context.problem(
        ["servers"],
        `the policy cannot be had: ${messageOf(error)}`,
        "start the server, and put a policy there that checks",
      );
    });
  },
};

/** A recreated bucket is brought to as many revisions, one small step after the other. */
const MAX_STEPS = 1_000_000n;

/**
 * Puts a policy, which the caller has checked, and gives the revision that it became: one above `above`, which is what
 * services have in force that knew another bucket.
 */
export async function publishToNats(
  options: NatsPolicyOptions,
  servers: NatsServers,
  { bytes, above }: { bytes: Uint8Array; above: bigint },
): Promise<bigint> {
  const connection = await connectNats("sluice-publish", servers);
  try {
    const kv = await openBucket(connection, options.bucket);
    const key = options.key ?? DEFAULT_KEY;
    let revision = BigInt(await kv.put(key, bytes));
    if (above - revision > MAX_STEPS) throw new Error(`the bucket is at revision ${revision}, more than ${MAX_STEPS} below ${above}`);
    while (revision <= above) revision = BigInt(await kv.put(key, bytes));
    return revision;
  } finally {
    await connection.close();
  }
}
