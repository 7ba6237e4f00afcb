/** The list of the open files of an id does what a Set does. */
import assert from "node:assert/strict";
import { seededRandom } from "@sluice/testkit/random";
import { it } from "vitest";
import { OpenFile } from "../handles/handle-table.js";
import { InodeIo, type OpenOfInode } from "./inode-io.js";
import { Node } from "./node.js";

const handlesOf = (files: Iterable<OpenOfInode>): number[] => [...files].map(({ handle }) => handle).sort((a, b) => a - b);

it("holds each open file until it is closed, whatever the order", () => {
  const node = new Node(1, 0);
  const io = new InodeIo();
  const files = Array.from({ length: 200 }, (_, handle) => new OpenFile(handle, node, 1, io));
  const open = new Set<OpenFile>();
  const { below, of } = seededRandom(7);
  for (let step = 0; step < 20_000; step++) {
    // In turns mostly opened and mostly closed, so that it is empty now and then.
    const file = of(files);
    if (open.has(file) && below(3) < (step % 4_000 < 2_000 ? 1 : 3)) {
      open.delete(file);
      io.handles.delete(file);
    } else if (!open.has(file) && (step % 4_000 < 2_000 || open.size === 0)) {
      open.add(file);
      io.handles.add(file);
    }
    assert.equal(io.handles.size, open.size);
    if (step % 10 === 0) assert.deepEqual(handlesOf(io.handles), handlesOf(open));
  }
});
