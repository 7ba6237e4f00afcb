/** Provokes rare behaviour of a kernel: refused replies, interrupts, resent and unknown requests. Needs no kernel. */
import { Opcode } from "@sluice/fuse-protocol";
import { type CallContext, type EntryOut, Errno, type OpenOut, type WriteArgs } from "@sluice/vfs";
import { describe, expect, it } from "vitest";
import { FakeKernel, words } from "./fake-kernel.js";
import { scriptedFilesystem, type Script } from "./scripted-filesystem.js";

function served(script: Script): { kernel: FakeKernel; forgotten: [number, number][] } {
  const forgotten: [number, number][] = [];
  const kernel = new FakeKernel(scriptedFilesystem(script, (node, count) => forgotten.push([node, count])));
  kernel.init();
  return { kernel, forgotten };
}
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const name = Buffer.from("f\0");
const createBody = Buffer.concat([words(0o102, 0o100644, 0, 0), name]);

/** Waits until its caller is interrupted, as a decision does. */
function untilInterrupted(call: CallContext): Promise<number> {
  return new Promise((_, reject) =>
    call.signal.addEventListener("abort", () => reject(new DOMException("the caller was interrupted", "AbortError"))),
  );
}

describe("a reply that the kernel refuses", () => {
  it("returns the lookup count", () => {
    const { kernel, forgotten } = served((_, args) => {
      (args[3] as EntryOut).nodeId = 55;
      return 0;
    });
    kernel.refuseWith = Errno.ENOENT;
    kernel.send(Opcode.LOOKUP, {}, name);
    expect(forgotten).toEqual([[55, 1]]);
  });

  it.each([0, 1])("closes an open's handle, and a create's with its entry (waiting: %d)", async (waiting) => {
    const calls: unknown[] = [];
    const { kernel, forgotten } = served((method, args) => {
      const out = args.at(-1) as OpenOut & { entry: EntryOut; open: OpenOut };
      if (method === "open") out.handle = 9;
      else if (method === "create") Object.assign(out.open, { handle: 10 }, void (out.entry.nodeId = 55));
      else calls.push([method, args[1], (args[2] as { handle: number }).handle]);
      return waiting ? Promise.resolve(0) : 0;
    });
    kernel.refuseWith = Errno.ENOENT;
    kernel.send(Opcode.OPEN, { nodeId: 4 }, words(0, 0));
    kernel.send(Opcode.CREATE, { uniqueLo: 4 }, createBody);
    await turn();
    expect(calls).toEqual([
      ["release", 4, 9],
      ["release", 55, 10],
    ]);
    expect(forgotten).toEqual([[55, 1]]);
    expect(kernel.anomalies).toEqual([]);
  });

  it("is not undone if it only ends the connection", () => {
    const calls: string[] = [];
    const { kernel } = served((method) => calls.push(method) && 0);
    kernel.refuseWith = Errno.ENODEV;
    kernel.send(Opcode.OPEN, {}, words(0, 0));
    expect(calls).toEqual(["open"]);
  });
});

describe("an interrupt", () => {
  it("aborts the waiting request's signal, and its caller gets EINTR", async () => {
    const { kernel } = served((_, args) => untilInterrupted(args[0] as CallContext));
    kernel.send(Opcode.OPEN, { uniqueLo: 6 }, words(0, 0));
    expect(kernel.inFlight.size).toBe(1);
    kernel.send(Opcode.INTERRUPT, { uniqueLo: 7, nodeId: 0 }, words(6, 0));
    await turn();
    expect(kernel.replies).toMatchObject([{ uniqueLo: 6, errno: Errno.EINTR }]);
    expect(kernel.inFlight.size).toBe(0);
  });

  it("is not lost if it comes before the signal is requested", async () => {
    let resume: () => void = () => undefined;
    const { kernel } = served(async (_, args) => {
      await new Promise<void>((resolve) => (resume = resolve));
      return (args[0] as CallContext).signal.aborted ? Errno.EINTR : 0;
    });
    kernel.send(Opcode.OPEN, { uniqueLo: 6 }, words(0, 0));
    kernel.send(Opcode.INTERRUPT, { uniqueLo: 7, nodeId: 0 }, words(6, 0));
    resume();
    await turn();
    expect(kernel.replies).toMatchObject([{ uniqueLo: 6, errno: Errno.EINTR }]);
  });

  it("an interrupt of an unknown request is answered EAGAIN, but not for ever", () => {
    const { kernel } = served(() => 0);
    for (let i = 0; i < 10; i++) kernel.send(Opcode.INTERRUPT, { uniqueLo: 7, nodeId: 0 }, words(6, 0));
    expect(kernel.replies.map((reply) => reply.errno)).toEqual([Errno.EAGAIN, Errno.EAGAIN, Errno.EAGAIN]);
  });
});

describe("a resent request", () => {
  it("is started once, and answered under its current unique", async () => {
    let calls = 0;
    let finish: (status: number) => void = () => undefined;
    const { kernel } = served(() => {
      calls += 1;
      return new Promise((resolve) => (finish = resolve));
    });
    kernel.send(Opcode.OPEN, { uniqueLo: 6 }, words(0, 0));
    kernel.send(Opcode.OPEN, { uniqueLo: 6, uniqueHi: 0x8000_0000 }, words(0, 0));
    finish(0);
    await turn();
    expect(calls).toBe(1);
    expect(kernel.replies).toMatchObject([{ uniqueLo: 6, uniqueHi: 0x8000_0000, errno: 0 }]);
  });

  it("is served if this server does not know it", () => {
    const { kernel } = served(() => 0);
    kernel.send(Opcode.OPEN, { uniqueLo: 8, uniqueHi: 0x8000_0000 }, words(0, 0));
    expect(kernel.replies).toMatchObject([{ uniqueLo: 8, uniqueHi: 0x8000_0000, errno: 0 }]);
  });
});

describe("a write that waits", () => {
  it("keeps its bytes while other writes come", async () => {
    const writes: { args: WriteArgs; finish: (status: number) => void }[] = [];
    const { kernel } = served((_, args) => new Promise((finish) => writes.push({ args: args[2] as WriteArgs, finish })));
    for (const [i, text] of ["first", "other", "third"].entries()) {
      const head = words(1, 0, 0, 0, text.length, 0, 0, 0, 0, 0);
      kernel.send(Opcode.WRITE, { uniqueLo: 10 + 2 * i }, Buffer.concat([head, Buffer.from(text)]));
    }
    expect(writes.map((write) => Buffer.from(write.args.data).toString())).toEqual(["first", "other", "third"]);
    for (const write of writes) write.finish(0);
    await turn();
    expect(kernel.replies).toHaveLength(3);
  });
});

describe("a request that is not served", () => {
  it("gets ENOSYS, with an event only if it is unknown", () => {
    const { kernel } = served(() => 0);
    kernel.send(Opcode.ACCESS, {}, words(4, 0));
    expect(kernel.anomalies).toEqual([]);
    kernel.send(4242, { uniqueLo: 4 }, words(0));
    expect(kernel.replies.map((reply) => reply.errno)).toEqual([Errno.ENOSYS, Errno.ENOSYS]);
    expect(kernel.anomalies).toHaveLength(1);
  });

  it("gets ENAMETOOLONG without an event if its name is too long", () => {
    const { kernel } = served(() => 0);
    kernel.send(Opcode.LOOKUP, {}, Buffer.from(`${"x".repeat(256)}\0`));
    expect(kernel.replies).toMatchObject([{ errno: Errno.ENAMETOOLONG }]);
    expect(kernel.anomalies).toEqual([]);
  });
});
