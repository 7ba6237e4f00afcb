/** File attributes as 32-bit words, so that 64-bit values stay exact and a reply costs no allocation. */

/** Words of an attribute block, in the order of `struct fuse_attr` (88 bytes). */
export const ATTR_WORDS = 22;
/** Words that a stat of a layer object fills: the attribute block, then device, mount id, birth time (see packages/native StatWord). */
export const STAT_BLOCK_WORDS = 32;

const HI = 0x1_0000_0000;

/** Attributes of one inode. Times are seconds (signed 64-bit) and nanoseconds; sizes are bytes; blocks are 512 bytes. */
export class Attr {
  /** Of many objects they may lie in one array: a small one of its own costs the garbage collector more than it holds. */
  constructor(readonly words = new Uint32Array(STAT_BLOCK_WORDS)) {}

  get ino(): number {
    return this.#u64(0);
  }
  get size(): number {
    return this.#u64(2);
  }
  get blocks(): number {
    return this.#u64(4);
  }
  get atimeSec(): number {
    return this.#i64(6);
  }
  get mtimeSec(): number {
    return this.#i64(8);
  }
  get ctimeSec(): number {
    return this.#i64(10);
  }
  get atimeNsec(): number {
    return this.words[12] as number;
  }
  get mtimeNsec(): number {
    return this.words[13] as number;
  }
  get ctimeNsec(): number {
    return this.words[14] as number;
  }
  get mode(): number {
    return this.words[15] as number;
  }
  get nlink(): number {
    return this.words[16] as number;
  }
  get uid(): number {
    return this.words[17] as number;
  }
  get gid(): number {
    return this.words[18] as number;
  }
  get rdev(): number {
    return this.words[19] as number;
  }
  get blksize(): number {
    return this.words[20] as number;
  }
  get devMajor(): number {
    return this.words[22] as number;
  }
  get devMinor(): number {
    return this.words[23] as number;
  }

  /** STATX_ATTR_ bits: immutable, append-only. */
  get attributes(): number {
    return this.words[29] as number;
  }

  /** Of a regular file whose look-up asked about an extended attribute: its length, or the negative errno. */
  get attributeLength(): number {
    return (this.words[31] as number) | 0;
  }
  set attributeLength(length: number) {
    this.words[31] = length;
  }

  set mode(value: number) {
    this.words[15] = value;
  }
  set nlink(value: number) {
    this.words[16] = value;
  }

  /** The exact size if it may pass 2^53. */
  get sizeExact(): bigint {
    return (BigInt(this.words[3] as number) << 32n) | BigInt(this.words[2] as number);
  }

  setIno(lo: number, hi: number): void {
    this.words[0] = lo;
    this.words[1] = hi;
  }

  copyFrom(other: Attr): void {
    this.words.set(other.words);
  }

  #u64(at: number): number {
    return (this.words[at + 1] as number) * HI + (this.words[at] as number);
  }
  #i64(at: number): number {
    return ((this.words[at + 1] as number) | 0) * HI + (this.words[at] as number);
  }
}
