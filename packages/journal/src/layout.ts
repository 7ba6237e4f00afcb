/**
 * The division of the journal's memory, and the parts that this build can read.
 *
 * The memory outlives the process that writes it, and nothing else: its order need not survive a power cut. So a
 * record is written word by word, and the word that makes it valid is written last; a process that is killed between
 * leaves the record as it was before. The header has sizes and places of all tables, and a build reads them from there.
 * So a later build may make its tables larger, or add some, and still read the memory of an earlier one.
 */

/** The size of the mapping. Sparse: pages that were never written take no memory. */
export const JOURNAL_BYTES = 0x5000_0000;

const MAGIC_LO = 0x4955_4c53; // "SLUI"
const MAGIC_HI = 0x4a45_4343; // "CCEJ"
/** Raised if an older build could not read this one's records; an addition gets a table of its own. */
export const FORMAT_VERSION = 1;

/** Words of the header. */
export const Header = {
  magicLo: 0,
  magicHi: 1,
  version: 2,
  /** Features that a reader must know, as bits: an unknown one makes the journal unreadable. */
  features: 3,
  /** Ids up to here may have been given away. */
  idLo: 4,
  idHi: 5,
  handleLo: 6,
  handleHi: 7,
  /** Servers that have begun with this journal. */
  starts: 8,
  /** Units of the arena that were ever used. */
  arenaMark: 9,
  /** The last number that was given to a directory's list, or 0: the kernel has cookies of it. */
  listing: 10,
  /** The first of the table descriptions, with four words each. */
  tables: 16,
  /** The value of `starts` under which the index and the free lists were kept: any other means that they are stale. */
  indexedBy: 64,
  /** 1 while they are being changed: a writer that was killed meanwhile leaves them unusable. */
  busy: 65,
  /** Records of nodes that can be reached by a hard link. */
  linked: 66,
  /** Of each hash table two words: its entries, and its buckets. */
  idBuckets: 68,
  nameBuckets: 70,
  /** Of each table two words: its first free slot, and the number of them. */
  free: 96,
  /** The arena's first free chunk of each size, and its first gap. */
  chunks: 128,
  gaps: 192,
  /** 256 random words: see NameHash. */
  hash: 512,
} as const;

/** The words of a table's description. */
const Described = { page: 0, slotWords: 1, capacity: 2, mark: 3, words: 4 } as const;

export const TableId = { nodes: 0, handles: 1, requests: 2, locks: 3, reroutes: 4, arena: 5, agreement: 6, ids: 7, names: 8 } as const;
export type TableName = keyof typeof TableId;

export const PAGE_WORDS = 1024;

interface Shape {
  slotWords: number;
  capacity: number;
}

const SHAPES: Readonly<Record<TableName, Shape>> = {
  nodes: { slotWords: 16, capacity: 0x80_0000 },
  handles: { slotWords: 16, capacity: 0x8_0000 },
  requests: { slotWords: 256, capacity: 4096 },
  locks: { slotWords: 16, capacity: 0x4_0000 },
  reroutes: { slotWords: 8, capacity: 2048 },
  arena: { slotWords: 4, capacity: 0x280_0000 },
  agreement: { slotWords: 1, capacity: 1024 },
  // Buckets: see Buckets.
  ids: { slotWords: 1, capacity: 0x80_0000 },
  names: { slotWords: 1, capacity: 0x80_0000 },
};

/** Both views cover the same bytes. */
export interface JournalMemory {
  readonly words: Uint32Array;
  readonly bytes: Uint8Array;
}

export interface TableLayout extends Shape {
  /** The word at which it starts. */
  base: number;
  /** The word that holds the number of its slots that were ever used. */
  markAt: number;
}

/** The reason why a journal cannot be restored, for people. */
export class JournalError extends Error {
  override readonly name = "JournalError";
}

export function isBlank({ words }: JournalMemory): boolean {
  return words[Header.magicLo] === 0 && words[Header.magicHi] === 0;
}

/** Lays out fresh memory. The word that makes it a journal is written last. */
export function format({ words }: JournalMemory): void {
  addTables(words);
  words[Header.version] = FORMAT_VERSION;
  words[Header.features] = 0;
  words[Header.arenaMark] = 1;
  words[Header.magicHi] = MAGIC_HI;
  words[Header.magicLo] = MAGIC_LO;
}

/** Describes the tables that are not described yet, behind those that are: an earlier build knew fewer. */
function addTables(words: Uint32Array): void {
  let page = 1;
  for (const name of Object.keys(TableId) as TableName[]) {
    const at = Header.tables + TableId[name] * Described.words;
    if (words[at + Described.page] === 0) {
      const { slotWords, capacity } = SHAPES[name];
      words[at + Described.slotWords] = slotWords;
      words[at + Described.capacity] = capacity;
      words[at + Described.mark] = 1;
      words[at + Described.page] = page;
    }
    const { base, slotWords, capacity } = tableLayout(words, name);
    page = Math.max(page, Math.ceil((base + slotWords * capacity) / PAGE_WORDS));
  }
}

/**
 * Memory of an earlier build gets the tables that it lacks.
 * @throws JournalError if this build cannot read it
 */
export function checkFormat({ words }: JournalMemory): void {
  if (words[Header.magicLo] !== MAGIC_LO || words[Header.magicHi] !== MAGIC_HI) {
    throw new JournalError("the state to take over is no journal of this program: unmount and mount again");
  }
  const version = words[Header.version] as number;
  if (version > FORMAT_VERSION) {
    throw new JournalError(
      `the state to take over has format ${version}, and this version reads up to ${FORMAT_VERSION}: start a newer version, or unmount and mount again`,
    );
  }
  const features = words[Header.features] as number;
  if (features !== 0) {
    throw new JournalError(
      `the state to take over needs features (0x${features.toString(16)}) that this version does not have: start a newer version, or unmount and mount again`,
    );
  }
  addTables(words);
  for (const name of Object.keys(TableId) as TableName[]) checkTable(words, name);
}

/** The writer may have died of its own writing: a reference that leaves the memory, or leads into a circle, is not followed. */
export function damaged(what: string): JournalError {
  return new JournalError(`the state to take over is damaged (${what}): unmount and mount again`);
}

function checkTable(words: Uint32Array, name: TableName): void {
  const { base, slotWords, capacity, markAt } = tableLayout(words, name);
  const known = SHAPES[name].slotWords;
  const mark = words[name === "arena" ? Header.arenaMark : markAt] as number;
  const lies = base >= PAGE_WORDS && slotWords >= known && base + slotWords * capacity <= words.length;
  if (!lies || mark < 1 || mark > capacity) throw damaged(`table ${name}`);
}

export function tableLayout(words: Uint32Array, name: TableName): TableLayout {
  const at = Header.tables + TableId[name] * Described.words;
  return {
    base: (words[at + Described.page] as number) * PAGE_WORDS,
    slotWords: words[at + Described.slotWords] as number,
    capacity: words[at + Described.capacity] as number,
    markAt: at + Described.mark,
  };
}
