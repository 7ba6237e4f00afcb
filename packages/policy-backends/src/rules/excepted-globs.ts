/**
 * Collects the globs that the scope of one answer excepts. Most answers of a policy except the same globs, so each list is made once. One
 * object serves all questions of a policy, since an evaluation never waits.
 */
import { ANSWER_LIMITS } from "@sluice/decision-api";

/** More lists than a policy has ways to be asked; then they are made again. */
const MAX_LISTS = 256;

interface KnownList {
  readonly ids: Int32Array;
  readonly globs: readonly string[];
}

const NONE: readonly string[] = [];

export class ExceptedGlobs {
  /** By glob, the round in which it was added. */
  readonly #added: Uint32Array;
  readonly #ids = new Int32Array(ANSWER_LIMITS.except);
  readonly #lists = new Map<number, KnownList>();
  #round = 0;
  #count = 0;
  #hash = 0;

  /** `globs`: the texts by number. */
  constructor(private readonly globs: readonly string[]) {
    this.#added = new Uint32Array(globs.length);
  }

  /** For the next question. */
  begin(): void {
    this.#round = (this.#round + 1) % 2 ** 32;
    if (this.#round === 0) this.#added.fill(0);
    this.#count = this.#hash = 0;
  }

  get room(): number {
    return this.#ids.length - this.#count;
  }

  /** False if there is no room for it. */
  add(glob: number): boolean {
    if (this.#added[glob] === this.#round) return true;
    if (this.room === 0) return false;
    this.#added[glob] = this.#round;
    this.#ids[this.#count++] = glob;
    this.#hash = (Math.imul(this.#hash, 31) + glob) | 0;
    return true;
  }

  list(): readonly string[] {
    if (this.#count === 0) return NONE;
    const ids = this.#ids.subarray(0, this.#count);
    const known = this.#lists.get(this.#hash);
    if (known !== undefined && known.ids.length === ids.length && known.ids.every((id, at) => id === ids[at])) return known.globs;
    const globs = Array.from(ids, (id) => this.globs[id] as string);
    if (this.#lists.size >= MAX_LISTS) this.#lists.clear();
    this.#lists.set(this.#hash, { ids: ids.slice(), globs });
    return globs;
  }
}
