/**
 * The decision processes of a mount service. If it is to make mounts quickly, one is ready before its policy is known, and one that has
 * answered for its last policy waits for the next. Policies share one (docs/decisions/0024-policies-share-a-process.md) if nobody but one user
 * controls their files and they send spans to the same collector, up to a number at which one of them can delay only so many others.
 */
import type { HostedPolicy } from "./hosted-policy.js";
import { DecisionProcess } from "./decision-process.js";
import { chooseDecisionUser, type OwnUser, type SharedUser } from "./decision-user.js";
import { AssignedProcess, type Ready, ReadyProcess } from "./ready-process.js";

/** Of one process. */
export const MOST_POLICIES = 16;

/** How long a process waits for another policy after its last one, if processes are kept ready. */
const LINGER_MS = 10_000;

/** The policies that may share processes. */
export interface Kinship {
  /** The user who controls the policy's file. Undefined: unknown, so that it has a process of its own. */
  owner: number | undefined;
  tracingEndpoint: string | undefined;
}

interface Place {
  kinship: Kinship;
  /** Of the first policy. */
  runDirectory: string;
  /** Policies in it or on the way. */
  taken: number;
  process: Promise<DecisionProcess>;
  started: DecisionProcess | undefined;
}

function areKin(a: Kinship, b: Kinship): boolean {
  return a.owner !== undefined && a.owner === b.owner && a.tracingEndpoint === b.tracingEndpoint;
}

/** A policy in its process. */
export interface Hosting {
  user: OwnUser | SharedUser;
  end(): Promise<void>;
}

export class DecisionProcesses {
  readonly #places = new Set<Place>();
  readonly #placeOf = new Map<HostedPolicy, Place>();
  #ready: Ready | undefined;
  /** Of a process that stands by, or has taken over. */
  readonly #spares: ReadyProcess[] = [];
  #tellCount: (count: number) => void = () => undefined;
  #lingers = false;
  #isForUser = false;

  /** From now on a process is ready for the next policy. `runDirectory` as for `chooseDecisionUser`. */
  keepReady(runDirectory: string): void {
    this.#ready ??= new ReadyProcess({ runDirectory, isEarly: true, again: true });
    this.#lingers = true;
  }

  /** The process of the next policy starts now: it is there when this resolves. `runDirectory` as for `chooseDecisionUser`. */
  async startNext(runDirectory: string): Promise<void> {
    const ready = new ReadyProcess({ runDirectory, isEarly: false, again: false });
    this.#ready = ready;
    await ready.begun;
  }

  /** This process stands by: so many are ready when its turn comes, and no more. `runDirectory` as for `chooseDecisionUser`. */
  prepare(count: number, runDirectory: string): void {
    for (const spare of this.#spares.splice(count)) void spare.end();
    while (this.#spares.length < count) this.#spares.push(new ReadyProcess({ runDirectory, isEarly: true, again: false }));
  }

  /** This process has taken over. `tell` gets the number of processes that the next one needs, and each change of it. */
  countForNext(tell: (count: number) => void): void {
    this.prepare(0, "");
    this.#tellCount = tell;
    this.#count();
  }

  /** One that sends spans has the collector's credentials from its start. */
  #count(): void {
    this.#tellCount([...this.#places].filter(({ kinship }) => kinship.tracingEndpoint === undefined).length);
  }

  /** A process is ready for the first policy, once it knows its user. @throws if it cannot be started */
  keepAssigned(): AssignedProcess {
    const ready = new AssignedProcess();
    this.#ready = ready;
    this.#isForUser = true;
    return ready;
  }

  /** Ends the processes without policies. */
  async end(): Promise<void> {
    const idle = [...this.#places].filter(({ taken }) => taken === 0);
    await Promise.all([this.#ready?.end(), ...this.#spares.map((spare) => spare.end()), ...idle.map(({ started }) => started?.end())]);
  }

  /** `runDirectory` as for `chooseDecisionUser`. Resolves before the policy serves. @throws if its process cannot be started */
  async host(policy: HostedPolicy, kinship: Kinship, runDirectory: string): Promise<Hosting> {
    const place = this.#find(kinship) ?? this.#make(kinship, runDirectory);
    place.taken++;
    this.#placeOf.set(policy, place);
    void policy.failedToStart.then(() => this.#leave(policy));
    try {
      const process = await place.process;
      process.add(policy);
      return { user: process.user, end: () => this.#end(policy) };
    } catch (error) {
      if (place.started === undefined) this.#drop(place);
      await this.#end(policy);
      throw error;
    }
  }

  #find(kinship: Kinship): Place | undefined {
    for (const place of this.#places) {
      const isOpen = place.started?.isOpen ?? true;
      // It has waited for another policy.
      if (!isOpen && place.taken === 0) this.#drop(place);
      if (isOpen && place.taken < MOST_POLICIES && areKin(place.kinship, kinship)) return place;
    }
    return undefined;
  }

  #make(kinship: Kinship, runDirectory: string): Place {
    const place: Place = { kinship, taken: 0, runDirectory, process: this.#processFor(kinship, runDirectory), started: undefined };
    place.process = place.process.then((process) => {
      process.unstable = () => void this.#divide(place);
      place.started = process;
      return process;
    });
    this.#places.add(place);
    this.#count();
    return place;
  }

  #drop(place: Place): void {
    this.#places.delete(place);
    this.#count();
  }

  async #processFor({ tracingEndpoint }: Kinship, runDirectory: string): Promise<DecisionProcess> {
    const ready = tracingEndpoint === undefined ? await this.#takeReady() : undefined;
    return ready ?? new DecisionProcess({ user: await chooseDecisionUser(runDirectory), tracingEndpoint });
  }

  async #takeReady(): Promise<DecisionProcess | undefined> {
    for (let spare = this.#spares.shift(); spare !== undefined; spare = this.#spares.shift()) {
      const process = await spare.take();
      if (process !== undefined) return process;
    }
    return this.#ready?.take();
  }

  /** One of its policies may end it again and again: so half of them get a process without the others, until one is alone. */
  async #divide(from: Place): Promise<void> {
    const given = from.started?.giveHalf() ?? [];
    const to = this.#make(from.kinship, from.runDirectory);
    for (const policy of given) this.#move(policy, from, to);
    let process: DecisionProcess | undefined;
    try {
      process = await to.process;
    } catch {
      // There is no other process for them.
      for (const policy of given) this.#move(policy, to, from);
      process = from.started;
    }
    for (const policy of given) if (this.#placeOf.has(policy)) process?.add(policy);
  }

  /** If its mount has not ended meanwhile. */
  #move(policy: HostedPolicy, from: Place, to: Place): void {
    if (this.#placeOf.get(policy) !== from) return;
    to.taken++;
    this.#leave(policy);
    this.#placeOf.set(policy, to);
  }

  #leave(policy: HostedPolicy): void {
    const place = this.#placeOf.get(policy);
    this.#placeOf.delete(policy);
    if (place !== undefined && --place.taken === 0 && this.#lingerMs(place) === 0) this.#drop(place);
  }

  /** How long its process waits for another policy. */
  #lingerMs({ kinship, started }: Place): number {
    return this.#lingers && kinship.owner !== undefined && started?.isOpen === true ? LINGER_MS : 0;
  }

  async #end(policy: HostedPolicy): Promise<void> {
    const place = this.#placeOf.get(policy);
    if (place === undefined) return;
    this.#leave(policy);
    const ended = place.started?.remove(policy, this.#lingerMs(place));
    // The process of its only mount ends, too, and it with that. Nobody but a decision log needs its last words.
    if (!this.#isForUser || policy.options.writeDecision !== undefined) await ended;
  }
}
