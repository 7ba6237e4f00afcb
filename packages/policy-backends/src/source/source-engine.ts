/**
 * The engine of a policy that a source elsewhere delivers: the last delivery that checked answers, and what does not check
 * never does. Deliveries are tried one after the other; of those that wait only the newest is.
 */
import type { PolicyRevision, Question } from "@sluice/decision-api";
import type { Ruling } from "../backend.js";
import type { Engine, LoadContext, LoadedPolicy, LooksAt } from "../policy-kind.js";
import { PolicyError } from "../rules/problem.js";
import { readDelivered } from "./delivered.js";
import { ENTRY } from "./policy-location.js";

export interface Delivery {
  bytes: Buffer;
  /** The source's own, if it orders its content; else the manifest's is taken, or the policy's own. */
  sequence: bigint | undefined;
}

interface InForce {
  loaded: LoadedPolicy;
  revision: PolicyRevision;
}

/** For messages: the source, not the file that it was made of. */
function named(source: string, error: unknown): Error {
  if (!(error instanceof PolicyError)) return new Error(`${source}: ${error instanceof Error ? error.message : String(error)}`);
  return new Error(`${source}: ${error.message.replace(/^\//, "")}`, { cause: error });
}

export class SourceEngine implements Engine {
  private inForce: InForce | undefined;
  /** The highest revision that was in force: one without a number does not take it back. */
  private newest = 0n;
  private refused: Error | undefined;
  private refusedAtMs: number | undefined;
  private next: Delivery | undefined;
  private trying: Promise<void> | undefined;
  private readonly listeners: (() => void)[] = [];
  private retiring: Promise<void>[] = [];
  private disposed = false;

  constructor(
    private readonly source: string,
    private readonly context: LoadContext,
    private readonly skipVerify: boolean | undefined,
  ) {}

  /** False until a delivery has checked. */
  get ready(): boolean {
    return this.inForce !== undefined;
  }
  get looksAt(): LooksAt {
    return this.engine.looksAt;
  }
  get hides(): Engine["hides"] {
    return this.engine.hides;
  }
  get ruleCount(): number {
    return this.engine.ruleCount;
  }
  get warnings(): Engine["warnings"] {
    return this.engine.warnings;
  }

  deliveredRevision = (): PolicyRevision => this.current.revision;
  remoteRevision = (): string => `${this.current.revision.sequence}:${this.current.revision.digest}`;
  refusal = (): Error | undefined => this.refused ?? this.inForce?.loaded.engine.refusal?.();

  /** How long ago the last delivery was refused. Undefined: it was not. */
  protected get refusedForMs(): number | undefined {
    return this.refusedAtMs === undefined ? undefined : performance.now() - this.refusedAtMs;
  }

  onChange(listener: () => void): void {
    this.listeners.push(listener);
  }

  evaluate(question: Question): Ruling | Promise<Ruling> {
    return this.engine.evaluate(question);
  }

  /** Resolves when this delivery, or a newer one in its place, is in force or refused. Never rejects. */
  offer(delivery: Delivery): Promise<void> {
    this.next = delivery;
    this.trying ??= this.tryAll();
    return this.trying;
  }

  /** The content of the source is no policy at all. */
  refuse(problem: string): void {
    this.tell(new Error(`${this.source}: ${problem}`));
  }

  async dispose(): Promise<void> {
    this.disposed = true;
    this.listeners.length = 0;
    await this.trying;
    if (this.inForce !== undefined) this.retire(this.inForce.loaded);
    await Promise.all(this.retiring);
  }

  private get current(): InForce {
    if (this.inForce === undefined) throw new Error(`${this.source} has delivered no policy yet`);
    return this.inForce;
  }
  private get engine(): Engine {
    return this.current.loaded.engine;
  }

  private async tryAll(): Promise<void> {
    for (let delivery = this.next; delivery !== undefined && !this.disposed; delivery = this.next) {
      this.next = undefined;
      this.refusedAtMs = undefined;
      await this.tryOne(delivery).catch((error: unknown) => {
        this.refusedAtMs = performance.now();
        this.tell(named(this.source, error));
      });
    }
    this.trying = undefined;
  }

  private async tryOne({ bytes, sequence }: Delivery): Promise<void> {
    const { files, sequence: ofManifest } = await readDelivered(bytes, ENTRY, this.skipVerify);
    const loaded = await this.context.loadDelivered(files, ENTRY);
    const { policy } = loaded;
    const revision = { sequence: sequence ?? ofManifest ?? policy.revision.sequence, digest: policy.revision.digest };
    const before = this.inForce;
    const same = before?.revision.digest === revision.digest && before.revision.sequence === revision.sequence;
    if (same || this.disposed) {
      this.retire(loaded);
      if (this.refused !== undefined) this.tell(undefined);
      return;
    }
    if (revision.sequence > 0n && revision.sequence < this.newest) {
      this.retire(loaded);
      throw new Error(`revision ${revision.sequence} is lower than ${this.newest}, which was in force: give each edit a higher one`);
    }
    if (revision.sequence > this.newest) this.newest = revision.sequence;
    this.inForce = { loaded, revision };
    loaded.engine.onChange?.(() => this.tell(this.refused));
    if (before !== undefined) this.retire(before.loaded);
    this.tell(undefined);
  }

  private tell(refused: Error | undefined): void {
    if (refused?.message !== this.refused?.message || refused === undefined) this.refused = refused;
    for (const listener of this.listeners) listener();
  }

  private retire({ engine }: LoadedPolicy): void {
    const done = engine.dispose().finally(() => {
      this.retiring = this.retiring.filter((each) => each !== done);
    });
    this.retiring.push(done);
  }
}
