/** A change of a file's size that waits for its turn is held to the limit of the size that holds when the turn comes. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { IoWatch, Ruling, WatchedIo } from "@sluice/overlay";
import { directory, plant, requires, scratch } from "@sluice/testkit";
import { Attr, type CallContext, Errno, O, type Status } from "@sluice/vfs";
import { expect } from "vitest";
import { entry, OPEN_GATE, opened, overlayOver } from "../harness/bare-overlay.js";

const { test } = requires("CAP_SYS_ADMIN");

const call: CallContext = { uid: 0, gid: 0, pid: 1, groups: undefined, labels: [], signal: new AbortController().signal };

/** Admits whatever fits below a limit that the test changes. */
class Limit implements IoWatch {
  maxSizeBytes = 1000;

  before({ offset, length }: WatchedIo): number {
    const room = BigInt(this.maxSizeBytes) - offset;
    return room < 0n ? -Errno.EFBIG : Math.min(length, Number(room));
  }
  after(): void {}
}

function stage() {
  const base = scratch();
  plant(base, { "lower/source": "s".repeat(500), "upper/f": "", "work/": directory() });
  const limit = new Limit();
  const ruling: Ruling = { effect: "mediate", errno: 0, watch: () => limit };
  const overlay = overlayOver(base, { ...OPEN_GATE, active: true, authorize: () => ruling });
  const open = (name: string, flags: number): { id: number; handle: number } => {
    const [found, out] = [entry(), opened()];
    // Each open with a watch has a nodeId of its own: the kernel looks up again after ESTALE.
    let status: Status = Errno.ESTALE;
    for (let attempt = 0; status === Errno.ESTALE && attempt < 2; attempt++) {
      expect(overlay.lookup(call, 1, name, found)).toBe(0);
      status = overlay.open(call, found.nodeId, flags, out);
    }
    expect(status).toBe(0);
    return { id: found.nodeId, handle: out.handle };
  };
  return { overlay, limit, open, path: join(base, "upper/f") };
}

type Stage = ReturnType<typeof stage>;

function write({ overlay, open }: Stage, what: { offset: number; flags?: number; size?: number }): Status {
  const { offset, flags = 0, size = 500 } = what;
  const { id, handle } = open("f", O.WRONLY | flags);
  const data = Buffer.alloc(size, "w");
  const args = { handle, offset, size, flags: O.WRONLY | flags, data, killSuidgid: false, fromPage: false, lockOwner: 0n };
  return overlay.write(call, id, args, { length: 0 });
}

/** As far as an operation comes without the event loop: a write that has begun is under way all the time. */
async function asFarAsPossible(): Promise<void> {
  for (let step = 0; step < 100; step++) await Promise.resolve();
}

const CHANGES: Readonly<Record<string, (on: Stage) => Status>> = {
  write: (on) => write(on, { offset: 400 }),
  append: (on) => write(on, { offset: 0, flags: O.APPEND }),
  allocation: ({ overlay, open }) => {
    const { id, handle } = open("f", O.RDWR);
    return overlay.fallocate(call, id, { handle, mode: 0, offset: 100, length: 800 });
  },
  "copy of a range": ({ overlay, open }) => {
    const [from, to] = [open("source", O.RDONLY), open("f", O.RDWR)];
    const args = { handleIn: from.handle, offsetIn: 0, nodeOut: to.id, handleOut: to.handle, offsetOut: 400, length: 500, flags: 0 };
    return overlay.copyFileRange(call, from.id, args, { length: 0 });
  },
  truncation: ({ overlay, open }) => {
    const { id, handle } = open("f", O.RDWR);
    const same = { mode: undefined, uid: undefined, gid: undefined, atime: undefined, mtime: undefined, killSuidgid: false };
    return overlay.setattr(call, id, { ...same, size: 900, handle }, { attr: new Attr(), attrTtlMs: 0 });
  },
};

for (const [name, change] of Object.entries(CHANGES)) {
  test(`a waiting ${name} makes the file no longer than a limit that was lowered meanwhile`, async () => {
    const on = stage();
    const first = write(on, { offset: 0, size: 300 });
    await asFarAsPossible();
    const waiting = change(on);
    expect(waiting).toBeInstanceOf(Promise);
    await asFarAsPossible();
    on.limit.maxSizeBytes = 350;
    expect(await first).toBe(0);
    const status = await waiting;
    if (name === "append") expect(status).toBe(0);
    else expect(status).toBe(Errno.EFBIG);
    expect(statSync(on.path).size).toBe(name === "append" ? 350 : 300);
    expect(readFileSync(on.path, "latin1").slice(0, 300)).toBe("w".repeat(300));
  });
}
