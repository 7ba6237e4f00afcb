/** Records of open files in a journal that has no room left. */
import { Journal, type JournalMemory, uncountedBytes, viewsOf } from "@sluice/journal";
import { Errno, S } from "@sluice/vfs";
import { expect, test } from "vitest";
import { OpenFile } from "../handles/handle-table.js";
import { InodeIo } from "../node/inode-io.js";
import { Node } from "../node/node.js";
import { OverlayJournal } from "./overlay-journal.js";

/** The word with the number of places in the arena: packages/journal/src/layout.ts. */
const ARENA_CAPACITY = 16 + 5 * 4 + 2;
const nothing = (): void => undefined;

function withoutRoom(): { journal: OverlayJournal; memory: JournalMemory } {
  const memory = viewsOf(uncountedBytes());
  expect(new Journal(memory).nodes.used).toBe(0);
  memory.words[ARENA_CAPACITY] = 2;
  return { journal: new OverlayJournal({ journal: new Journal(memory), stored: new Map(), store: nothing, drop: nothing }), memory };
}

for (const [what, duties, errno] of [
  ["has duties", true, Errno.EACCES],
  ["has none", false, 0],
] as const) {
  test(`an open file whose ruling does not fit ${duties ? "is refused" : "goes on"} by the next server if it ${what}`, () => {
    const { journal, memory } = withoutRoom();
    const file = new OpenFile(7, new Node(2, S.IFREG), 2, new InodeIo());
    const about = { handle: 7, node: 0, nodeId: 2, mode: 0, write: true, flags: 2, layer: 0, backingId: 0 };
    file.slot = journal.records.handles.addFile(about, { slot: 0, unique: 0 });
    if (duties) file.watch = { before: () => 0, after: nothing };
    journal.attach(file, "a ruling that takes more room than there is");
    const { handles } = new Journal(memory);
    expect(handles.attachedTo(file.slot)).toBeUndefined();
    expect(handles.refusedBy(file.slot)).toBe(errno);
  });
}
