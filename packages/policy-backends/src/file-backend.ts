/**
 * The policy of a file, of whatever kind, swapped as a whole where an edit checks. Rules hold for the very next question;
 * an engine that takes time to make is made beside the one in force, which answers until then.
 */
import type { Policy, PolicyBackend, Refresh } from "./backend.js";
import { FileReader } from "./document/file-reader.js";
import { diskOf, type Keeping, NotingDisk } from "./document/kept-policy.js";
import { OWN_DISK, type PolicyDisk } from "./document/policy-disk.js";
import { beginLoad, loadLocated, policyOf } from "./load-file.js";
import { type BackendEvents, type LoadedPolicy, NO_BACKEND_EVENTS } from "./policy-kind.js";
import { type PolicyLocation, policyLocation } from "./source/policy-location.js";
import { PolicyError } from "./rules/problem.js";

/** The policy, or the failure, since the last refresh. */
type Outcome = { reader: FileReader; result: { ok: true; loaded: LoadedPolicy } | { ok: false; error: Error } };

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));

interface Source {
  location: PolicyLocation;
  disk: PolicyDisk;
  events: BackendEvents;
  /** Called when the policy that was loaded last comes into force. */
  keep?: (located: string) => void;
}

class FileBackend implements PolicyBackend {
  private reader: FileReader;
  /** The file that the last load began with. */
  private located = "";
  /** Of the file itself. */
  private refusedEdit: Error | undefined;
  /** Of a source that the policy in force comes from, as last told. */
  private toldRefusal: Error | undefined;
  private outcome: Outcome | undefined;
  /** The highest revision that was in force: one without a number does not take it back. */
  private newest = 0n;
  /** Counts loads, so that one that was overtaken by an edit is dropped. */
  private turn = 0;
  private disposed = false;
  private remoteChanged = false;
  private readonly hints = new Set<() => void>();
  private retiring: Promise<void>[] = [];

  /** `refused`: the edit since the policy in force. */
  constructor(
    private readonly source: Source,
    private inForce: LoadedPolicy,
    { reader, refused }: { reader: FileReader; refused?: Error | undefined },
  ) {
    this.reader = reader;
    if (refused !== undefined) this.outcome = { reader, result: { ok: false, error: refused } };
    this.note(inForce);
    this.follow(inForce);
    source.disk.onChange(() => this.hint());
  }

  get failure(): Error | undefined {
    return this.refusedEdit ?? this.inForce.engine.refusal?.();
  }

  get name(): string {
    return this.inForce.kind;
  }

  get policy(): Policy {
    return this.inForce.policy;
  }

  get watchedDirectories(): readonly string[] {
    return [...this.source.location.directories, ...this.reader.directories()];
  }

  onHint(listener: () => void): void {
    this.hints.add(listener);
  }

  refresh(): Refresh {
    if (this.source.location.moved() || this.reader.changed()) this.load();
    const { outcome } = this;
    this.outcome = undefined;
    if (outcome !== undefined) return this.conclude(outcome);
    return this.remoteChanged ? this.renew() : { state: "unchanged" };
  }

  private load(): void {
    const { location, disk, events } = this.source;
    disk.begin();
    const reader = new FileReader(disk);
    const turn = ++this.turn;
    // From here on these files are watched, whether they make a policy or not.
    this.reader = reader;
    try {
      this.located = location.locate();
      const load = beginLoad({ file: this.located, reader, events, depth: 0, busy: true });
      if (load.state === "done") this.outcome = { reader, result: { ok: true, loaded: load.loaded } };
      else this.await(load.finish(), { reader, turn });
    } catch (error) {
      this.outcome = { reader, result: { ok: false, error: asError(error) } };
    }
  }

  private await(finishing: Promise<LoadedPolicy>, { reader, turn }: { reader: FileReader; turn: number }): void {
    finishing.then(
      (loaded) => {
        if (turn !== this.turn || this.disposed) this.retire(loaded);
        else if (reader.changed()) this.again(loaded);
        else this.ready({ reader, result: { ok: true, loaded } });
      },
      (error: unknown) => {
        if (turn === this.turn) this.ready({ reader, result: { ok: false, error: asError(error) } });
      },
    );
  }

  /** Its files were edited while they were read: it may be of two versions. */
  private again(mixed: LoadedPolicy): void {
    this.retire(mixed);
    this.load();
    if (this.outcome !== undefined) this.ready(this.outcome);
  }

  private ready(outcome: Outcome): void {
    this.outcome = outcome;
    this.hint();
  }

  private hint(): void {
    for (const hint of this.hints) hint();
  }

  private conclude({ result }: Outcome): Refresh {
    if (!result.ok) return this.refused(result.error);
    const { loaded } = result;
    const same = loaded.policy.revision.digest === this.inForce.policy.revision.digest;
    const refusal = same ? undefined : olderThan(this.newest, loaded, this.source.location.name);
    if (refusal !== undefined || same) this.retire(loaded);
    if (refusal !== undefined) return this.refused(refusal);
    this.refusedEdit = undefined;
    if (same) return { state: "unchanged" };
    this.retire(this.inForce);
    this.inForce = loaded;
    this.note(loaded);
    this.source.keep?.(this.located);
    this.remoteChanged = false;
    this.toldRefusal = undefined;
    this.follow(loaded);
    return { state: "changed" };
  }

  private note({ policy }: LoadedPolicy): void {
    const { sequence } = policy.revision;
    if (sequence > this.newest) this.newest = sequence;
  }

  private refused(error: Error): Refresh {
    const known = this.refusedEdit?.message === error.message;
    this.refusedEdit = error;
    return known ? { state: "unchanged" } : { state: "failed", error };
  }

  /** A policy that lives elsewhere has changed there, or the content of its source is refused. */
  private renew(): Refresh {
    this.remoteChanged = false;
    const refusal = this.inForce.engine.refusal?.();
    const newRefusal = refusal !== undefined && refusal !== this.toldRefusal;
    this.toldRefusal = refusal;
    const next = policyOf(this.inForce.engine, this.inForce.base);
    const news = refusal === undefined || next.policy.revision.digest !== this.inForce.policy.revision.digest;
    if (news) this.inForce = next;
    this.note(this.inForce);
    if (newRefusal) return { state: "failed", error: refusal };
    return news ? { state: "changed" } : { state: "unchanged" };
  }

  private follow({ engine }: LoadedPolicy): void {
    engine.onChange?.(() => {
      if (this.inForce.engine !== engine) return;
      this.remoteChanged = true;
      this.hint();
    });
  }

  private retire({ engine }: LoadedPolicy): void {
    const done = engine.dispose().finally(() => {
      this.retiring = this.retiring.filter((each) => each !== done);
    });
    this.retiring.push(done);
  }

  async dispose(): Promise<void> {
    this.disposed = true;
    this.hints.clear();
    this.retire(this.inForce);
    await Promise.all(this.retiring);
  }
}

/** Mounts do not use answers of a revision below one that they were told of, so that taking one back must get a new number. */
function olderThan(newest: bigint, next: LoadedPolicy, file: string): PolicyError | undefined {
  const { sequence } = next.policy.revision;
  if (sequence === 0n || sequence >= newest) return undefined;
  const message = `revision ${sequence} is lower than ${newest}, which was in force`;
  return new PolicyError(file, [{ severity: "error", line: 1, column: 1, message, remedy: "give each edit a higher one" }]);
}

/** The policy of files that were kept; undefined if there are none, or if this version cannot use them. */
async function lastInForce(files: string | undefined, events: BackendEvents): Promise<LoadedPolicy | undefined> {
  const kept = files === undefined ? undefined : diskOf(files);
  if (kept === undefined) return undefined;
  return loadLocated(kept.located, events, new FileReader(kept.disk)).catch(() => undefined);
}

/**
 * Rejects with `PolicyError`: nothing starts on a policy that does not check, unless `keeping` has the one that was in force before. A directory
 * holds `policy.yaml`.
 */
export async function openPolicyFile(
  file: string,
  events: BackendEvents = NO_BACKEND_EVENTS,
  disk: PolicyDisk = OWN_DISK,
  keeping?: Keeping,
): Promise<PolicyBackend> {
  const noting = keeping === undefined ? undefined : new NotingDisk(disk);
  const files = noting ?? disk;
  const location = policyLocation(file, files);
  const keep = (at: string): void => void (noting !== undefined && keeping?.keep(noting.take(at)));
  const source: Source = { location, disk: files, events, keep };
  const reader = new FileReader(files);
  const located = location.locate();
  let loaded: LoadedPolicy;
  try {
    loaded = await loadLocated(located, events, reader);
  } catch (error) {
    const last = await lastInForce(keeping?.last, events);
    if (last === undefined) throw error;
    return new FileBackend(source, last, { reader, refused: asError(error) });
  }
  const read = noting?.take(located);
  const newer = read === keeping?.last ? undefined : await newerThan(loaded, keeping?.last, { events, file: location.name });
  if (newer !== undefined) return new FileBackend(source, newer.last, { reader, refused: newer.refusal });
  if (read !== undefined) keeping?.keep(read);
  return new FileBackend(source, loaded, { reader });
}

/** The kept policy if it is of a higher revision than the one that the file holds now. The other one is let go. */
async function newerThan(
  loaded: LoadedPolicy,
  files: string | undefined,
  { events, file }: { events: BackendEvents; file: string },
): Promise<{ last: LoadedPolicy; refusal: PolicyError } | undefined> {
  const last = loaded.policy.revision.sequence === 0n ? undefined : await lastInForce(files, events);
  if (last === undefined) return undefined;
  const refusal = olderThan(last.policy.revision.sequence, loaded, file);
  await (refusal === undefined ? last : loaded).engine.dispose();
  return refusal && { last, refusal };
}

/** The same at once, for a file of rules. Throws `PolicyError`. */
export function rulesBackend(file: string): PolicyBackend {
  const location = policyLocation(file);
  const reader = new FileReader();
  const load = beginLoad({ file: location.locate(), reader, events: NO_BACKEND_EVENTS, depth: 0, busy: false });
  if (load.state === "done") return new FileBackend({ location, disk: OWN_DISK, events: NO_BACKEND_EVENTS }, load.loaded, { reader });
  const problem = { severity: "error" as const, line: 1, column: 1, message: "it holds no rules", remedy: "write version: 1 and rules" };
  throw new PolicyError(file, [problem]);
}
