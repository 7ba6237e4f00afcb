/**
 * The mounts of a service of many. The service has a link for itself, by which it asks for each mount and gets back those of the service
 * before it; and each mount has a link of its own, the same as with a server of its own. The service has all rights of the keeper, so its
 * requests are checked for mistakes only.
 *
 * The kernel and the records tell what happens to a mount whose link is lost: if its connection is over, nothing is left to hold; if no
 * server has finished INIT with the kernel, none can go on; otherwise the service that is alive gets it again, or the next one.
 */
import {
  type HoldRefusal,
  type HoldRequest,
  type KeeperInfo,
  KeeperRecord,
  LayerError,
  type LinkRecord,
  ServerRecord,
} from "@sluice/keeper-link";
import { memoryFileOf, native } from "@sluice/native";
import { FsError } from "@sluice/vfs";
import { readFileSync } from "node:fs";
import { discard, discarded } from "./discard.js";
import type { Held, Link } from "./held.js";
import { MountResources } from "./mount-resources.js";
import { discardFds, RecordChannel } from "./record-channel.js";
import { RestartRule } from "./restart-rule.js";
import { type ServerEvents, ServerLink } from "./server-link.js";
import type { ServerEnd } from "./server-process.js";
import { say } from "./setup.js";

/** The most decision processes that a service which stands by is told to load. */
const MOST_DECISIONS = 8;
/** The links of a service that dies are lost one after another: then the next one gets all mounts. */
const DYING_MS = 500;

function refusalOf(error: unknown, mountpoint: string): HoldRefusal {
  if (error instanceof LayerError) return { path: error.path, problem: error.problem, remedy: error.remedy };
  if (error instanceof FsError)
    return { path: mountpoint, problem: error.message, remedy: "run 'sluice doctor' to see what this machine allows" };
  // Nothing that goes wrong with one mount may end the keeper, which holds all others.
  return { path: mountpoint, problem: `the keeper cannot hold it (${String(error)})`, remedy: "see the service's log" };
}

/** One mount, with the link to the service that serves it. */
class HeldMount {
  readonly mountpoint: string;
  readonly resources: MountResources;
  /** The memory file with the request of the service, which the next one gets. */
  readonly request: number;
  readonly rule = new RestartRule();
  link: ServerLink | undefined;
  /** Since when the service of `link` serves it. */
  servedSinceMs: number | undefined;
  /** Of the service, before this mount was made. */
  readonly restartsBefore: number;
  again: NodeJS.Timeout | undefined;

  constructor(resources: MountResources, mountpoint: string, request: number, restartsBefore: number) {
    this.resources = resources;
    this.mountpoint = mountpoint;
    this.request = request;
    this.restartsBefore = restartsBefore;
  }

  /** The present or a later service can serve it. */
  get lives(): boolean {
    return this.resources.mounted && this.resources.init !== undefined && !this.resources.connectionOver;
  }
}

class ServiceLink implements Link {
  readonly #channel: RecordChannel;
  readonly #mounts: HeldMounts;
  readonly #events: ServerEvents;
  #info: KeeperInfo | undefined;
  /** The process is dying, or dead already. */
  gone = false;

  constructor(socket: number, mounts: HeldMounts, events: ServerEvents) {
    this.#mounts = mounts;
    this.#events = events;
    this.#channel = new RecordChannel(socket, {
      take: (record) => this.#take(record),
      lost: () => {
        this.gone = true;
        events.lost();
      },
      stuck: () => events.stuck(),
    });
  }

  /** Has a service that stands by load so many decision processes. */
  prepare(decisions: number): void {
    this.#channel.tell((out) => out.begin(KeeperRecord.prepare, 0, 0n, decisions));
  }

  greet(info: KeeperInfo): void {
    this.#info = info;
    this.#mounts.greeted(this);
    const restores = this.#mounts.begun ? 1 : 0;
    this.#channel.tell((out) => out.begin(KeeperRecord.go, 0, 0n, restores));
  }

  drain(): void {
    this.#channel.tell((out) => out.begin(KeeperRecord.drain, 0, 0n, 0));
  }

  async read(): Promise<void> {
    await Promise.all([this.#channel.read(), this.#mounts.read(this)]);
  }

  close(): void {
    this.#channel.close();
    this.#mounts.left(this);
  }

  /**
   * Makes the link of a mount, greets, and passes the other end: in an answer alone, to a service that takes over with the request.
   * @throws FsError without a descriptor for it
   */
  pass(mount: HeldMount, sequence: number): void {
    const pair = new Int32Array(2);
    const made = native.seqpacketPair(pair);
    if (made < 0 || this.#info === undefined) throw new FsError(-made, "no socket for the link of a mount");
    const [ours, theirs] = pair as unknown as [number, number];
    const link = new ServerLink(ours, mount.resources, {
      loaded: () => undefined,
      ready: () => (mount.servedSinceMs = Date.now()),
      handOver: () => undefined,
      lost: () => this.#mounts.lost(mount, link),
      stuck: () => this.#events.stuck(),
    });
    mount.link = link;
    mount.servedSinceMs = undefined;
    link.greet({ ...this.#info, restarts: this.#info.restarts - mount.restartsBefore });
    const fill = (out: LinkRecord): void => {
      out.begin(KeeperRecord.link, sequence, 0n, 0).addFd(theirs);
      if (sequence === 0) out.addFd(mount.request);
    };
    this.#channel.tell(fill, () => native.close(theirs));
  }

  #take(record: LinkRecord): void {
    const isHold = record.kind === ServerRecord.hold;
    if (record.fdCount !== (isHold ? 1 : 0) || (isHold && this.#info === undefined)) return discardFds(record);
    if (isHold) return this.#hold(record.sequence, record.fds[0] as number);
    if (record.kind === ServerRecord.loaded) this.#loaded(record.value === 1);
    if (record.kind === ServerRecord.ready) this.#events.ready();
    if (record.kind === ServerRecord.handOver) this.#events.handOver();
    if (record.kind === ServerRecord.decisions && this.#info !== undefined) this.#mounts.needDecisions(record.value);
  }

  /** A service of an earlier version prepares nothing. */
  #loaded(prepares: boolean): void {
    if (prepares && this.#info === undefined) this.#mounts.standsBy(this);
    this.#events.loaded();
  }

  #hold(sequence: number, request: number): void {
    const refusal = this.#mounts.hold(request, this.#info?.restarts ?? 0, (mount) => this.pass(mount, sequence));
    if (refusal === undefined) return;
    discard(request);
    const text = memoryFileOf("sluice-refusal", JSON.stringify(refusal));
    if (text < 0) return this.#events.stuck();
    this.#channel.tell(
      (out) => out.begin(KeeperRecord.link, sequence, 0n, -1).addFd(text),
      () => native.close(text),
    );
  }
}

export class HeldMounts implements Held {
  readonly connectionOver = false;
  readonly #places: number;
  readonly #mounts = new Set<HeldMount>();
  /** The link of the service that was greeted last, until it closes. */
  #service: ServiceLink | undefined;
  #begun = false;
  /** Services that wait for their turn, and prepare for it. */
  readonly #standing = new Set<ServiceLink>();
  #decisions = 0;

  /** `places`: the most mounts. */
  constructor(
    readonly name: string,
    places: number,
  ) {
    this.#places = places;
  }

  get begun(): boolean {
    return this.#begun;
  }

  /** It was told to end, by a signal of its own for instance. */
  isOver({ code, handedOver }: ServerEnd): boolean {
    return code === 0 && !handedOver;
  }

  connect(socket: number, events: ServerEvents): Link {
    const ready = (): void => {
      this.#begun = true;
      events.ready();
    };
    return new ServiceLink(socket, this, { ...events, ready });
  }

  standsBy(service: ServiceLink): void {
    this.#standing.add(service);
    service.prepare(this.#decisions);
  }

  /** The service has so many decision processes. */
  needDecisions(count: number): void {
    this.#decisions = Math.min(Math.max(count, 0), MOST_DECISIONS);
    for (const service of this.#standing) service.prepare(this.#decisions);
  }

  /** Passes all mounts to a service that begins. */
  greeted(service: ServiceLink): void {
    this.#standing.delete(service);
    this.#service = service;
    for (const mount of this.#mounts) {
      if (mount.lives) this.#passAgain(service, mount);
      else void this.#giveUp(mount);
    }
  }

  #passAgain(service: ServiceLink, mount: HeldMount): void {
    try {
      service.pass(mount, 0);
    } catch (error) {
      say(mount.mountpoint, `unmounted: ${refusalOf(error, mount.mountpoint).problem}`);
      void this.#giveUp(mount);
    }
  }

  /** Resolves once all that the service has sent about its mounts is taken. */
  async read(service: ServiceLink): Promise<void> {
    if (this.#service !== service) return;
    await Promise.all([...this.#mounts].flatMap(({ link }) => (link === undefined ? [] : [link.read()])));
  }

  /** The service is gone. */
  left(service: ServiceLink): void {
    this.#standing.delete(service);
    if (this.#service !== service) return;
    this.#service = undefined;
    for (const mount of this.#mounts) {
      clearTimeout(mount.again);
      mount.link?.close();
      mount.link = undefined;
      if (!mount.lives) void this.#giveUp(mount);
    }
  }

  /** Opens the resources of a mount, and calls `pass`. @returns the reason if that is impossible; the caller keeps the descriptor then */
  hold(request: number, restarts: number, pass: (mount: HeldMount) => void): HoldRefusal | undefined {
    let mountpoint = "a mount";
    try {
      const { plan } = JSON.parse(readFileSync(`/proc/self/fd/${request}`, "utf8")) as HoldRequest;
      ({ mountpoint } = plan);
      if (this.#mounts.size >= this.#places)
        return { path: mountpoint, problem: `the keeper has its ${this.#places} mounts (EMFILE)`, remedy: "unmount one" };
      const mount = new HeldMount(new MountResources(plan, this.#places), mountpoint, request, restarts);
      this.#mounts.add(mount);
      try {
        pass(mount);
      } catch (error) {
        this.#mounts.delete(mount);
        void mount.resources.end();
        throw error;
      }
      return undefined;
    } catch (error) {
      return refusalOf(error, mountpoint);
    }
  }

  /** The service has closed the link of one mount, or dies. */
  lost(mount: HeldMount, link: ServerLink): void {
    if (mount.link !== link) return;
    mount.link = undefined;
    if (!mount.lives) return void this.#giveUp(mount);
    mount.again = setTimeout(() => this.#again(mount), DYING_MS);
  }

  /** The service is alive, and does not serve this mount any more: it may try again, a few times. */
  #again(mount: HeldMount): void {
    const service = this.#service;
    if (service === undefined || service.gone) return;
    const { servedSinceMs } = mount;
    const served = servedSinceMs !== undefined;
    const next = mount.rule.next({ served, servedMs: served ? Date.now() - servedSinceMs : 0, killed: false });
    if (next.again) return this.#passAgain(service, mount);
    say(mount.mountpoint, "the service cannot serve it: unmounted; see the service's log");
    void this.#giveUp(mount);
  }

  async #giveUp(mount: HeldMount): Promise<void> {
    if (!this.#mounts.delete(mount)) return;
    clearTimeout(mount.again);
    mount.link?.close();
    mount.link = undefined;
    discard(mount.request);
    await mount.resources.end();
  }

  async end(): Promise<void> {
    await Promise.all([...this.#mounts].map((mount) => this.#giveUp(mount)));
    await discarded();
  }
}
