/**
 * Lets go of objects of files that nobody uses. A mount may know millions of files, since the kernel does; an object takes 200 bytes of the
 * heap, and each collection of all garbage looks at it. The record of a file takes half of that, outside the heap, and restores the
 * object when somebody asks for the file: see lazy-restore.ts. Objects that were asked for since the last search stay.
 *
 * Directories stay, and files with several names, as do files that are open or that something happened to (Node.isPlain).
 */
import { Journal } from "@sluice/journal";
import { inTurns } from "@sluice/vfs";
import type { OverlayConfig } from "../contract/config.js";
import type { BackingCache } from "../handles/backing-cache.js";
import { OverlayJournal } from "../journal/overlay-journal.js";
import type { CallsUnderWay } from "../node/calls-under-way.js";
import { isUnused } from "../node/inode-io.js";
import type { Node } from "../node/node.js";
import { LazyRestore, type RestoreContext } from "./lazy-restore.js";

/** So many more objects than were left last time are there before the next search. */
const SLACK = 4096;
/** The number of nodes that are looked at between two looks at the clock. */
const STEP = 64;

/** The nodes, and all that may use one of them across a wait. */
interface IdleContext extends RestoreContext {
  readonly config: RestoreContext["config"] & Pick<OverlayConfig, "maxIdleObjects" | "recordMemory">;
  readonly calls: CallsUnderWay;
  readonly backings: Pick<BackingCache, "has">;
}

interface Book {
  readonly journal: OverlayJournal;
  readonly restorable: LazyRestore;
}

export class IdleObjects {
  readonly #core: IdleContext;
  #max: number;
  /** So many objects are there before the next search. */
  #next: number;
  #searching = false;
  /** The place of the records: the journal, or one of their own. */
  #book: OverlayJournal | undefined;

  constructor(core: IdleContext) {
    this.#core = core;
    this.#max = core.config.maxIdleObjects;
    // The first search lets nothing go: it makes a difference between earlier and later.
    this.#next = this.#max - slackOf(this.#max);
    this.#book = core.journal;
  }

  /** There may be more objects than before. Called within a call, which may use any of them. */
  look(): void {
    if (this.#searching || this.#core.nodes.objects < this.#next) return;
    this.#searching = true;
    setImmediate(() => {
      const searched = inTurns(this.#search());
      if (searched instanceof Promise) void searched.finally(() => (this.#searching = false));
      else this.#searching = false;
    });
  }

  *#search(): Generator<void, undefined> {
    const { nodes } = this.#core;
    const now = nodes.clock++;
    const book = nodes.objects > this.#max ? this.#open() : undefined;
    if (book !== undefined) yield* this.#searchFor(book, now);
    this.#next = Math.max(nodes.objects, this.#max) + slackOf(this.#max);
  }

  *#searchFor(book: Book, now: number): Generator<void, undefined> {
    const { nodes, calls } = this.#core;
    let before = Math.min(now, calls.oldest);
    let looked = 0;
    for (const node of nodes.all()) {
      if (++looked % STEP === 0) {
        yield;
        // Something may have begun that needs all of them.
        before = Math.min(now, calls.oldest);
      }
      if (nodes.objects <= this.#max) return;
      if (node.usedAt < before && this.#isIdle(node)) this.#letGo(book, node);
    }
  }

  /** The place of the records; undefined if there is no memory for it. */
  #open(): Book | undefined {
    const { nodes } = this.#core;
    this.#book ??= this.#begin();
    if (this.#book === undefined) {
      this.#max = Infinity;
      return undefined;
    }
    nodes.restorable ??= new LazyRestore(this.#core, this.#book.records.nodes, undefined);
    return { journal: this.#book, restorable: nodes.restorable as LazyRestore };
  }

  #begin(): OverlayJournal | undefined {
    const memory = this.#core.config.recordMemory();
    if (memory === undefined) return undefined;
    const nothing = (): void => undefined;
    const book = new OverlayJournal({ journal: new Journal(memory), stored: new Map(), store: nothing, drop: nothing }, false);
    this.#core.nodes.writeDown(book);
    return book;
  }

  #isIdle(node: Node): boolean {
    if (node.lookups === 0 || !node.shown || !node.isPlain) return false;
    return (node.io === undefined || isUnused(node.io)) && !this.#core.backings.has(node);
  }

  #letGo({ journal, restorable }: Book, node: Node): void {
    const { parent } = node;
    if (parent === undefined || !journal.leadsTo(node, parent)) return;
    this.#core.nodes.letObjectGo(node, parent);
    restorable.added();
  }
}

function slackOf(max: number): number {
  return Math.min(SLACK, max);
}
