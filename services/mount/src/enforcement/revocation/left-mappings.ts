/**
 * Closed passthrough opens that may have left a mapping. It reaches the layer's file for as long as somebody has it, and the kernel does
 * not tell the daemon. So each open is remembered until a search in /proc finds no mapping of its file. Nothing is known of opens that were
 * closed under an earlier server.
 */
import type { Access } from "@sluice/decision-api";
import type { Holder } from "./holders.js";

export interface ClosedOpen {
  readonly nodeId: number;
  readonly accesses: readonly Access[];
  readonly caller: { readonly pid: number; readonly uid: number; readonly gid: number };
}

/** With more files than this, those that nobody has mapped are forgotten. */
const MANY = 65_536;

export class LeftMappings {
  /** By st_ino, and then one for each user and kind of access: the newest. */
  #closed = new Map<bigint, Map<string, ClosedOpen>>();
  #many = MANY;
  #searched: Promise<unknown> = Promise.resolve();
  readonly #findHolders: (inos: ReadonlySet<bigint>) => Promise<Holder[]>;

  constructor(findHolders: (inos: ReadonlySet<bigint>) => Promise<Holder[]>) {
    this.#findHolders = findHolders;
  }

  closed(ino: bigint, open: ClosedOpen): void {
    this.#remember(ino, open);
    if (this.#closed.size <= this.#many) return;
    this.#many = Infinity;
    const enough = (): void => void (this.#many = Math.max(MANY, 2 * this.#closed.size));
    this.find().then(enough, enough);
  }

  /** The opens of files that somebody has mapped. All others are forgotten. One search at a time. */
  find(): Promise<(ClosedOpen & { readonly ino: bigint })[]> {
    const search = this.#searched.then(() => this.#search());
    this.#searched = search.catch(() => undefined);
    return search;
  }

  async #search(): Promise<(ClosedOpen & { readonly ino: bigint })[]> {
    const before = this.#closed;
    if (before.size === 0) return [];
    this.#closed = new Map();
    // A mapping that somebody makes now is of an open that is not closed yet.
    const holders = await this.#findHolders(new Set(before.keys())).catch((error: unknown) => {
      for (const [ino, opens] of before) for (const open of opens.values()) this.#remember(ino, open);
      throw error;
    });
    const mapped = new Set(holders.filter(({ by }) => by === "mapping").map(({ ino }) => ino));
    const left = [...mapped].flatMap((ino) => [...(before.get(ino)?.values() ?? [])].map((open) => ({ ...open, ino })));
    for (const open of left) this.#remember(open.ino, open);
    return left;
  }

  #remember(ino: bigint, open: ClosedOpen): void {
    let opens = this.#closed.get(ino);
    if (opens === undefined) this.#closed.set(ino, (opens = new Map()));
    const { uid, gid } = open.caller;
    opens.set(`${uid} ${gid} ${open.accesses.join()}`, open);
  }
}
