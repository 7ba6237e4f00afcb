/**
 * Which upper object shows the inode number of which lower one. An origin mark can be copied along (`cp -a` in the upper layer), and
 * then two objects claim one number: diff would find them equal, and tar would store one as a link to the other. The first one
 * keeps the number here. Kernel overlayfs answers ESTALE for the second one as long as it remembers the first (ovl_verify_inode).
 */
/** Some 16 MB. The claims that were used last stay. */
const MAX_CLAIMS = 262_144;

export class OriginClaims {
  /**
   * Number of the lower object, by its high and its low word → inode number of the upper one. Both words are no safe integer together: the
   * high one has the number of a device.
   */
  readonly #owners = new Map<number, Map<number, number>>();
  #count = 0;

  constructor(private readonly max = MAX_CLAIMS) {}

  /** Inode number of the upper object that shows the lower one's number; undefined if there is none. */
  ownerOf(lo: number, hi: number): number | undefined {
    return this.#count === 0 ? undefined : this.#owners.get(hi)?.get(lo);
  }

  give(lo: number, hi: number, ino: number): void {
    let owners = this.#owners.get(hi);
    if (owners === undefined) this.#owners.set(hi, (owners = new Map()));
    if (owners.delete(lo)) this.#count--;
    owners.set(lo, ino);
    this.#count++;
    if (this.#count > this.max) this.#dropOldest();
  }

  #dropOldest(): void {
    const [hi, owners] = this.#owners.entries().next().value as [number, Map<number, number>];
    owners.delete(owners.keys().next().value as number);
    if (owners.size === 0) this.#owners.delete(hi);
    this.#count--;
  }
}
