/**
 * Which upper object shows the inode number of which lower one. An origin mark can be copied along (`cp -a` in the upper layer), and
 * then two objects claim one number: diff would find them equal, and tar would store one as a link to the other. The first one
 * keeps the number here. Kernel overlayfs answers ESTALE for the second one as long as it remembers the first (ovl_verify_inode).
 */
const HIGH_WORD = 0x1_0000_0000;
/** Some 16 MB. The claims that were used last stay. */
const MAX_CLAIMS = 262_144;

export class OriginClaims {
  /** Number of the lower object → inode number of the upper one. */
  readonly #owners = new Map<number, number>();

  constructor(private readonly max = MAX_CLAIMS) {}

  /** Inode number of the upper object that shows the lower one's number; undefined if there is none. */
  ownerOf(lo: number, hi: number): number | undefined {
    return this.#owners.size === 0 ? undefined : this.#owners.get(hi * HIGH_WORD + lo);
  }

  give(lo: number, hi: number, ino: number): void {
    const key = hi * HIGH_WORD + lo;
    this.#owners.delete(key);
    this.#owners.set(key, ino);
    if (this.#owners.size > this.max) this.#owners.delete(this.#owners.keys().next().value as number);
  }
}
