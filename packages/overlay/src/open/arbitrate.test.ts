/** What becomes of a granted open whose file the kernel does not take, by what it says. */
import { closeSync, openSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Errno, type KernelPort, S } from "@sluice/vfs";
import { afterAll, expect, test } from "vitest";
import type { Core } from "../core.js";
import type { HostLayer } from "../layer/host-layer.js";
import { Node } from "../node/node.js";
import { arbitrate } from "./arbitrate.js";
import { OpenFile } from "../io/handle-table.js";
import { InodeIo } from "../io/inode-io.js";
import { KeptBackings } from "../io/kept-backings.js";

const fd = openSync(fileURLToPath(import.meta.url), "r");
afterAll(() => closeSync(fd));

/** A registrar that answers what it is told to, for files of one layer. */
function registrar(): { answers: number[]; open: () => [string | undefined, OpenFile["mode"]] } {
  const answers: number[] = [];
  const layer = { eligibility: { state: "unknown" } } as unknown as HostLayer;
  const port = { negotiated: { maxStackDepth: 1 }, openBacking: () => answers.shift() ?? 1 } as unknown as KernelPort;
  const kept = new KeptBackings(0, { unregister: () => undefined, keeps: () => undefined });
  const core = { port, kept } as unknown as Core;
  const open = (): [string | undefined, OpenFile["mode"]] => {
    const file = new OpenFile(1, new Node(2, S.IFREG), 2, new InodeIo());
    const reason = arbitrate(core, { file, fd, wish: "grant", granted: true, layer, kept: undefined });
    expect([file.io.cached, file.io.passthrough]).toEqual(reason === undefined ? [0, 1] : [1, 0]);
    return [reason, file.mode];
  };
  return { answers, open };
}

test.each([
  [Errno.EPERM, "permission"],
  [Errno.EINVAL, "invalid"],
  [Errno.EBADF, "invalid"],
  [Errno.EISDIR, "invalid"],
  [Errno.ENFILE, "file-table"],
  [Errno.EMFILE, "file-table"],
  [Errno.ENOMEM, "memory"],
  [Errno.EIO, "io"],
  [Errno.ENXIO, "io"],
])("errno %d mediates that open alone, and says %s", (errno, reason) => {
  const { answers, open } = registrar();
  answers.push(-errno);
  expect(open()).toEqual([reason, "cached"]);
  expect(open()).toEqual([undefined, "passthrough"]);
});

test("too deep a stack is the layer's: none of its files is tried again", () => {
  const { answers, open } = registrar();
  answers.push(-Errno.ELOOP);
  expect(open()).toEqual(["stack-depth", "cached"]);
  expect(open()).toEqual(["stack-depth", "cached"]);
});
