/** The few names of all calls, so that calls meet one another's objects. */
import type { Random } from "@sluice/testkit/random";

const PLAIN = ["a", "b", "c", "d"];
/** Each name is legal; most have broken some overlay. Byte strings. */
const EXOTIC = [
  "\xff\xfe",
  "new\nline",
  "x".repeat(255),
  "...",
  " ",
  "caf\xc3\xa9",
  "-rf",
  "back\\slash",
  "co:lon,comma",
  "#",
  ".hidden",
  "%2e",
];
/** Refused with ENAMETOOLONG, after any prefix. */
const TOO_LONG = "y".repeat(256);
const DEEPEST = 3;

export class Names {
  readonly pool: readonly string[];
  /** Paths at which the layers hold an object. */
  planted: readonly string[] = [];
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
    this.pool = [...PLAIN, random.of(EXOTIC)];
  }

  name(): string {
    return this.#random.once(150) ? TOO_LONG : this.#random.of(this.pool);
  }

  path(): string {
    if (this.planted.length > 0 && this.#random.once(2)) return this.#random.of(this.planted);
    const depth = this.#random.weighted([
      [4, 1],
      [4, 2],
      [2, DEEPEST],
    ]);
    return Array.from({ length: depth }, () => this.name()).join("/");
  }
}
