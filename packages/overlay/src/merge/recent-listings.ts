/**
 * The newest lists of merged directories, by a number that their cookies carry. The kernel caches a listing for the next reader
 * of the directory. If a change makes it drop the listing half-way, it reads on from here by a cookie of that list. Without
 * the list, rows would come twice or not at all.
 */
import type { Listing } from "./listing.js";
import type { Node } from "../node/node.js";

/** Cookies stay below 2^31, for programs that count in 32 bits. */
const ROWS = 2 ** 20;
const NUMBERS = 2 ** 10 - 1;
/** From here on cookies are of lists without a number. */
const UNNUMBERED = 2 ** 30;
/** The most rows of all remembered listings. */
const MAX_ROWS = 2 ** 16;

interface Recent {
  readonly number: number;
  readonly node: Node;
  readonly listing: Listing;
}

/** Remembers the last number for a process that takes over, since the kernel has cookies of this process' lists. */
export interface ListingNumbers {
  lastListing: number;
}

export class RecentListings {
  readonly #byNumber = new Map<number, Recent>();
  readonly #numbers: ListingNumbers;
  #rows = 0;

  constructor(numbers: ListingNumbers = { lastListing: 0 }) {
    this.#numbers = numbers;
  }

  /** The list's number; 0 for one so long that only its owner has it. */
  add(node: Node, listing: Listing): number {
    const rows = listing.names.length;
    if (rows >= MAX_ROWS) return 0;
    const last = this.#numbers.lastListing;
    const number = last + 1 < NUMBERS ? last + 1 : 1;
    this.#numbers.lastListing = number;
    this.#drop(number);
    this.#byNumber.set(number, { number, node, listing });
    this.#rows += rows;
    while (this.#rows > MAX_ROWS) this.#drop(this.#byNumber.keys().next().value as number);
    return number;
  }

  find(number: number, node: Node): Listing | undefined {
    const recent = this.#byNumber.get(number);
    return recent?.node === node ? recent.listing : undefined;
  }

  #drop(number: number): void {
    const recent = this.#byNumber.get(number);
    if (recent === undefined) return;
    this.#byNumber.delete(number);
    this.#rows -= recent.listing.names.length;
  }
}

/** The cookie of the entry after row `row` of a list. It tells the row by itself, also to another process. */
export function cookieOf(number: number, row: number): number {
  return (number === 0 ? UNNUMBERED : number * ROWS) + row + 1;
}

export function rowAt(cookie: number): number {
  return cookie >= UNNUMBERED ? cookie - UNNUMBERED : cookie % ROWS;
}

/** 0: none. */
export function numberIn(cookie: number): number {
  return cookie >= UNNUMBERED ? 0 : Math.floor(cookie / ROWS);
}
