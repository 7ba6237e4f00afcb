/**
 * Requests whose effect must not happen twice, from their start until the kernel has the answer.
 *
 * Before the effect an intent says what is about to happen, with enough detail to find out later whether it did. Before the
 * answer is written, the answer itself is recorded. A server that takes over finds requests with neither, which begin again;
 * requests with an answer, which it gives again; and requests with an intent alone, which it has to check.
 */
import { damaged, type JournalMemory } from "./layout.js";
import { SlotTable } from "./slot-table.js";

const Word = {
  state: 0,
  uniqueLo: 1,
  uniqueHi: 2,
  opcode: 3,
  /** The kind of effect; 0: none was begun. The last word of an intent. */
  intent: 4,
  replyLength: 5,
  numbers: 6,
  reply: 24,
  names: 72,
} as const;

const BEGUN = 1;
const ANSWERED = 2;
const NUMBERS = Word.reply - Word.numbers;
const REPLY_BYTES = (Word.names - Word.reply) * 4;
const NAME_WORDS = 68;
const NAME_BYTES = (NAME_WORDS - 1) * 4;
const NAMES = 2;
const UNIQUE_HI = 0x7fff_ffff;

/** Numbers are up to 2^53; names are byte strings of up to 255. */
export interface Intent {
  kind: number;
  numbers: readonly number[];
  names: readonly string[];
}

export interface RequestRecord {
  slot: number;
  uniqueLo: number;
  uniqueHi: number;
  opcode: number;
  answered: boolean;
  intent: Intent | undefined;
}

function keyOf(lo: number, hi: number): number {
  return (hi & UNIQUE_HI) * 2 ** 32 + lo;
}

export class RequestRecords {
  readonly #table: SlotTable;
  readonly #words: Uint32Array;
  readonly #bytes: Uint8Array;
  /** Requests of the earlier process, by unique. */
  readonly #left = new Map<number, number>();

  constructor(memory: JournalMemory) {
    this.#table = new SlotTable(memory, "requests");
    this.#words = memory.words;
    this.#bytes = memory.bytes;
  }

  /** Returns its slot, or 0 if there is no room: it goes unrecorded then. */
  begin(uniqueLo: number, uniqueHi: number, opcode: number): number {
    if (this.#left.size > 0) {
      const left = this.#claim(uniqueLo, uniqueHi);
      if (left !== 0) return left;
    }
    const slot = this.#table.take();
    if (slot === 0) return 0;
    const at = this.#table.at(slot);
    const words = this.#words;
    words[at + Word.uniqueLo] = uniqueLo;
    words[at + Word.uniqueHi] = uniqueHi & UNIQUE_HI;
    words[at + Word.opcode] = opcode;
    words[at + Word.intent] = 0;
    words[at + Word.state] = BEGUN;
    return slot;
  }

  /**
   * Returns the slot of a repeated request. The kernel sends all repeated requests before any other: one that has not come by then
   * never comes, since its waiter was killed, or it was answered.
   */
  #claim(uniqueLo: number, uniqueHi: number): number {
    const key = keyOf(uniqueLo, uniqueHi);
    const slot = this.#left.get(key);
    if (slot !== undefined) {
      this.#left.delete(key);
      return slot;
    }
    if ((uniqueHi & ~UNIQUE_HI) !== 0) return 0;
    for (const never of this.#left.values()) this.#table.give(never);
    this.#left.clear();
    return 0;
  }

  intend(slot: number, intent: Intent): void {
    const at = this.#table.at(slot);
    const words = this.#words;
    words[at + Word.intent] = 0;
    for (let i = 0; i < intent.numbers.length && i * 2 < NUMBERS; i++) {
      const value = intent.numbers[i] as number;
      words[at + Word.numbers + i * 2] = value >>> 0;
      words[at + Word.numbers + i * 2 + 1] = Math.floor(value / 2 ** 32);
    }
    for (let i = 0; i < intent.names.length; i++) this.#writeName(at, i, intent.names[i] as string);
    words[at + Word.intent] = intent.kind | (intent.numbers.length << 8) | (intent.names.length << 16);
  }

  /** The intended effect did not happen. */
  withdraw(slot: number): void {
    this.#words[this.#table.at(slot) + Word.intent] = 0;
  }

  /** The answer that is about to be written: its header, whose unique is replaced, and its body. */
  answer(slot: number, bytes: Uint8Array, length: number): void {
    if (length > REPLY_BYTES) return;
    const at = this.#table.at(slot);
    const start = (at + Word.reply) * 4;
    for (let i = 0; i < length; i++) this.#bytes[start + i] = bytes[i] as number;
    this.#words[at + Word.replyLength] = length;
    this.#words[at + Word.state] = ANSWERED;
  }

  findAnswered(uniqueLo: number, uniqueHi: number): number {
    const slot = this.#left.get(keyOf(uniqueLo, uniqueHi)) ?? 0;
    return slot !== 0 && this.#words[this.#table.at(slot)] === ANSWERED ? slot : 0;
  }

  /** The effect is done: the answer is success without a body. */
  answerDone(slot: number): void {
    const header = new Uint8Array(16);
    header[0] = header.length;
    this.answer(slot, header, header.length);
  }

  /** The kernel has the answer. */
  end(slot: number): void {
    if (this.#left.size > 0) {
      const at = this.#table.at(slot);
      this.#left.delete(keyOf(this.#words[at + Word.uniqueLo] as number, this.#words[at + Word.uniqueHi] as number));
    }
    this.#table.give(slot);
  }

  recover(): void {
    this.#table.recover();
    for (let slot = 1; slot < this.#table.mark; slot++) if (!this.#fits(this.#table.at(slot))) throw damaged(`request ${slot}`);
    for (const { slot, uniqueLo, uniqueHi } of this.all()) this.#left.set(keyOf(uniqueLo, uniqueHi), slot);
  }

  /** No length in it is larger than its room; a free one has none. */
  #fits(at: number): boolean {
    const words = this.#words;
    if (words[at] === 0) return true;
    if (words[at] === ANSWERED && (words[at + Word.replyLength] as number) > REPLY_BYTES) return false;
    const what = words[at + Word.intent] as number;
    const names = what >>> 16;
    if (((what >>> 8) & 0xff) * 2 > NUMBERS || names > NAMES) return false;
    for (let i = 0; i < names; i++) if ((words[at + Word.names + i * NAME_WORDS] as number) > NAME_BYTES) return false;
    return true;
  }

  *all(): IterableIterator<RequestRecord> {
    for (let slot = 1; slot < this.#table.mark; slot++) if (this.#words[this.#table.at(slot)] !== 0) yield this.#read(slot);
  }

  /** The low word of its unique, or 0. */
  uniqueOf(slot: number): number {
    return slot === 0 ? 0 : (this.#words[this.#table.at(slot) + Word.uniqueLo] as number);
  }

  /** It is under way, from the earlier process, and was not answered. */
  isOpen(slot: number): boolean {
    return slot !== 0 && this.#words[this.#table.at(slot)] === BEGUN;
  }

  intentOf(slot: number): Intent | undefined {
    const at = this.#table.at(slot);
    const what = this.#words[at + Word.intent] as number;
    if (what === 0) return undefined;
    const numbers: number[] = [];
    for (let i = 0; i < ((what >>> 8) & 0xff); i++) {
      const lo = this.#words[at + Word.numbers + i * 2] as number;
      numbers.push((this.#words[at + Word.numbers + i * 2 + 1] as number) * 2 ** 32 + lo);
    }
    const names: string[] = [];
    for (let i = 0; i < what >>> 16; i++) names.push(this.#readName(at, i));
    return { kind: what & 0xff, numbers, names };
  }

  /** The bytes of the stored answer. */
  answerOf(slot: number): Uint8Array {
    const at = this.#table.at(slot);
    const start = (at + Word.reply) * 4;
    return this.#bytes.slice(start, start + (this.#words[at + Word.replyLength] as number));
  }

  #read(slot: number): RequestRecord {
    const at = this.#table.at(slot);
    const words = this.#words;
    return {
      slot,
      uniqueLo: words[at + Word.uniqueLo] as number,
      uniqueHi: words[at + Word.uniqueHi] as number,
      opcode: words[at + Word.opcode] as number,
      answered: words[at] === ANSWERED,
      intent: this.intentOf(slot),
    };
  }

  #writeName(at: number, index: number, name: string): void {
    const word = at + Word.names + index * NAME_WORDS;
    this.#words[word] = name.length;
    const start = (word + 1) * 4;
    for (let i = 0; i < name.length; i++) this.#bytes[start + i] = name.charCodeAt(i);
  }

  #readName(at: number, index: number): string {
    const word = at + Word.names + index * NAME_WORDS;
    let name = "";
    for (let i = 0; i < (this.#words[word] as number); i++) name += String.fromCharCode(this.#bytes[(word + 1) * 4 + i] as number);
    return name;
  }
}
