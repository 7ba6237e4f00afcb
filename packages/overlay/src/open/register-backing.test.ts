/** The outcome of an open if the kernel does not register its file, by the kernel's errno. */
import { closeSync, openSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Errno, type KernelPort, S } from "@sluice/vfs";
import { afterAll, expect, test } from "vitest";
import type { OpenContext } from "./open-context.js";
import { OpenFile } from "../handles/handle-table.js";
import { InodeIo } from "../node/inode-io.js";
import { BackingCache } from "../handles/backing-cache.js";
import type { HostLayer } from "../layer/host-layer.js";
import { Node } from "../node/node.js";
import { registerBacking } from "./register-backing.js";

const fd = openSync(fileURLToPath(import.meta.url), "r");
afterAll(() => closeSync(fd));

/** A registrar that gives the answers it is told, for files of one layer. */
function registrar(): { answers: number[]; layer: HostLayer; register: () => unknown } {
  const answers: number[] = [];
  const layer = { eligibility: { state: "unknown" } } as unknown as HostLayer;
  const port = { openBacking: () => answers.shift() ?? 1 } as unknown as KernelPort;
  const backings = new BackingCache(0, { ended: () => undefined, cached: () => undefined });
  const register = (): unknown => {
    const file = new OpenFile(1, new Node(2, S.IFREG), 2, new InodeIo());
    const backing = registerBacking({ port, backings } as OpenContext, file, { fd, layer, seen: undefined });
    return typeof backing === "string" ? backing : backing.id;
  };
  return { answers, layer, register };
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
])("errno %d fails this registration alone, as '%s'", (errno, reason) => {
  const { answers, layer, register } = registrar();
  answers.push(-errno);
  expect(register()).toBe(reason);
  expect(layer.eligibility.state).toBe("unknown");
  expect(register()).toBe(1);
  expect(layer.eligibility.state).toBe("eligible");
});

test("a stack that is too deep makes the whole layer ineligible", () => {
  const { answers, layer, register } = registrar();
  answers.push(-Errno.ELOOP);
  expect(register()).toBe("stack-depth");
  expect(layer.eligibility).toEqual({ state: "ineligible", errno: Errno.ELOOP });
});
