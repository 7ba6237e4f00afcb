/** The engine on real mounts, with a mirror of a directory behind it. */
import { startEngine } from "@sluice/engine-devfuse";
import { Errno, FsError } from "@sluice/vfs";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { requires } from "@sluice/testkit";
import { afterEach, expect, it } from "vitest";
import { MountedMirror } from "./mounted-mirror.js";

const { describe } = requires("/dev/fuse", "CAP_SYS_ADMIN");

let mounted: MountedMirror | undefined;
afterEach(() => mounted?.dispose());

async function mount(maxStackDepth: 0 | 1 | 2 = 1): Promise<MountedMirror> {
  mounted = new MountedMirror(maxStackDepth);
  await mounted.engine.ready;
  return mounted;
}
const mountLine = (path: string): string | undefined =>
  readFileSync("/proc/self/mountinfo", "latin1")
    .split("\n")
    .find((line) => line.includes(path.replaceAll(" ", "\\040")));

describe("a mount", () => {
  it("shows its type and source, and the negotiated settings", async () => {
    const { engine, mountpoint } = await mount();
    expect(mountLine(mountpoint)).toMatch(/ - fuse\.mirror mirror /);
    const negotiated = await engine.ready;
    expect(negotiated.protocol.major).toBe(7);
    expect(negotiated.maxStackDepth).toBe(1);
    expect(negotiated.flags).toContain("PASSTHROUGH");
    expect(engine.port.negotiated).toBe(negotiated);
  });

  it("supports the operations of files and directories", async () => {
    const m = await mount();
    const out = await m.sh(`
      umask 027
      mkdir d; echo hello > d/a; echo more >> d/a; cat d/a; mv d/a d/b; ls d; ln -s d/b l; readlink l; cat l
      chmod 600 d/b; stat -c %a d d/b; printf x > "$(printf '\\377')"; ls | wc -l; rm l; truncate -s 3 d/b; cat d/b; stat -f -c %b .`);
    expect(out).toBe("hello\nmore\nb\nd/b\nhello\nmore\n750\n600\n3\nhel1000\n");
    expect(readFileSync(join(m.backing, "d/b"), "latin1")).toBe("hel");
    expect(m.anomalies).toEqual([]);
    expect([...m.mirror.handles.values()].filter((handle) => handle.fd >= 0)).toEqual([]);
  });

  it("lists a large directory completely, and frees the listing", async () => {
    const m = await mount();
    for (let i = 0; i < 3000; i++) writeFileSync(join(m.backing, `file-${i}-${"x".repeat(i % 100)}`), "");
    expect((await m.sh("ls -l | wc -l")).trim()).toBe("3001");
    expect(m.counts.get("READDIRPLUS")).toBeGreaterThan(1);
    expect(m.mirror.nodes.size).toBe(3001);
    writeFileSync("/proc/sys/vm/drop_caches", "2");
    await m.until(() => m.mirror.nodes.size === 1);
  });

  it("moves large data in both directions, by requests of a megabyte", async () => {
    const m = await mount();
    writeFileSync(join(m.backing, "big"), randomBytes(20_000_000));
    const out = await m.sh("cksum < big; dd if=big of=copy bs=1M oflag=direct status=none conv=fsync; cksum < copy");
    const [written, copied] = out.trim().split("\n");
    expect(copied).toBe(written);
    expect(statSync(join(m.backing, "copy")).size).toBe(20_000_000);
    expect(m.counts.get("WRITE")).toBe(20);
    expect(m.anomalies).toEqual([]);
  });

  it("maps a file shared", async () => {
    const m = await mount();
    writeFileSync(join(m.backing, "f"), Buffer.alloc(8192, 65));
    const out = await m.node(`
      import { openSync, fsyncSync } from "node:fs";
      import { native } from "@sluice/native";
      const fd = openSync(process.argv[1] + "/f", "r+");
      const mapping = native.mapShared(fd, 8192, true);
      process.stdout.write(String.fromCharCode(mapping.bytes[5000]));
      mapping.bytes[5000] = 66;
      mapping.unmap();
      fsyncSync(fd);`);
    expect(out).toBe("A");
    expect(readFileSync(join(m.backing, "f"))[5000]).toBe(66);
  });

  it("answers statx with a birth time", async () => {
    const m = await mount();
    writeFileSync(join(m.backing, "f"), "");
    expect(Number((await m.sh("stat -c %W f")).trim())).toBe(Math.floor(statSync(join(m.backing, "f")).birthtimeMs / 1000));
    expect(m.counts.get("STATX")).toBeGreaterThan(0);
  });
});

describe("a waiting open", () => {
  it("continues when it is answered, while others are served", async () => {
    const m = await mount();
    writeFileSync(join(m.backing, "wait"), "x");
    const process = m.opener("wait");
    await m.until(() => m.engine.inFlight() === 1);
    expect(await m.sh("echo served")).toBe("served\n");
    m.mirror.release();
    expect(await once(process, "exit")).toEqual([0, null]);
    expect(m.engine.inFlight()).toBe(0);
  });

  it.each(["SIGINT", "SIGKILL"] as const)("is interrupted by %s to its caller", async (signal) => {
    const m = await mount();
    writeFileSync(join(m.backing, "wait"), "x");
    const process = m.opener("wait");
    await m.until(() => m.engine.inFlight() === 1);
    process.kill(signal);
    expect(await once(process, "exit")).toEqual([null, signal]);
    await m.until(() => m.engine.inFlight() === 0);
    expect(m.mirror.interrupted).toEqual([join(m.backing, "wait")]);
    expect(m.anomalies).toEqual([]);
  });
});

describe("passthrough", () => {
  it("moves data past the engine, and attributes through it", async () => {
    const m = await mount();
    m.mirror.mode = "passthrough";
    writeFileSync(join(m.backing, "f"), "before");
    expect(await m.sh("cat f; printf after > f; cat f; stat -c %s f")).toBe("beforeafter5\n");
    expect(readFileSync(join(m.backing, "f"), "latin1")).toBe("after");
    expect([m.counts.get("READ"), m.counts.get("WRITE")]).toEqual([undefined, undefined]);
    expect(m.counts.get("OPEN")).toBe(3);
  });

  it("frees a refused backing file by its own RELEASE if the kernel rejects the inode's I/O mode", async () => {
    const m = await mount();
    writeFileSync(join(m.backing, "f"), "x");
    const held = m.sh(`exec 3< f; ${m.untilTold}; cat <&3`);
    await m.until(() => m.mirror.handles.size === 1);
    m.mirror.mode = "passthrough";
    await expect(m.sh("cat f")).rejects.toThrow(/Input\/output error/);
    m.tell();
    await held;
    await m.until(() => m.mirror.handles.size === 0);
  });

  it("is refused to an engine that did not request it", async () => {
    const m = await mount(0);
    writeFileSync(join(m.backing, "f"), "x");
    expect(m.engine.port.negotiated.maxStackDepth).toBe(0);
    m.mirror.mode = "passthrough";
    await expect(m.sh("cat f")).rejects.toThrow(/Operation not permitted/);
  });
});

describe("notifications", () => {
  it("drop a cached name and cached attributes", async () => {
    const m = await mount();
    m.mirror.ttlMs = 3_600_000;
    writeFileSync(join(m.backing, "f"), "1");
    expect(await m.sh("stat -c %s f")).toBe("1\n");
    writeFileSync(join(m.backing, "f"), "123");
    expect(await m.sh("stat -c %s f")).toBe("1\n");
    const node = [...m.mirror.nodes].find(([, { path }]) => path.endsWith("/f"))?.[0] as number;
    m.engine.port.invalidateInode(node, -1, -1);
    await eventually(async () => expect(await m.sh("stat -c %s f")).toBe("3\n"));
    const lookups = m.counts.get("LOOKUP") ?? 0;
    m.engine.port.invalidateEntry(1, "f", false);
    await eventually(async () => {
      await m.sh("stat f");
      expect(m.counts.get("LOOKUP")).toBeGreaterThan(lookups);
    });
  });
});

describe("the end", () => {
  it("a connection ends by umount: busy first, then once, with everything closed", async () => {
    const m = await mount();
    writeFileSync(join(m.backing, "f"), "x");
    const held = m.sh(`exec 3< f; ${m.untilTold}`);
    await m.until(() => m.mirror.handles.size === 1);
    expect(await m.engine.unmount(false)).toBe(Errno.EBUSY);
    m.tell();
    await held;
    await eventually(async () => expect(await m.engine.unmount(false)).toBe(0));
    await m.engine.ended;
    expect(m.mirror.destroyed).toBe(1);
    expect(mountLine(m.mountpoint)).toBeUndefined();
  });

  it("a connection ends by abort: a waiting caller gets ENOTCONN at once, and the waiting method is told", async () => {
    const m = await mount();
    writeFileSync(join(m.backing, "wait"), "x");
    const process = m.opener("wait");
    let said = "";
    process.stderr?.on("data", (chunk: Buffer) => (said += chunk.toString()));
    await m.until(() => m.engine.inFlight() === 1);
    m.engine.abort();
    await m.engine.ended;
    await once(process, "close");
    expect(said).toMatch(/endpoint is not connected|Software caused connection abort/);
    expect(m.mirror.interrupted).toHaveLength(1);
    expect([m.mirror.destroyed, m.engine.inFlight()]).toEqual([1, 0]);
  });

  it("a connection ends while a method goes on, such as a write that a disk holds up, and its descriptors stay open for that", async () => {
    const m = await mount();
    writeFileSync(join(m.backing, "wait-on"), "x");
    const closed = once(m.opener("wait-on"), "close");
    await m.until(() => m.engine.inFlight() === 1);
    m.engine.abort();
    await m.engine.ended;
    await closed;
    expect(m.anomalies).toMatchObject([["methods still wait although the connection has ended", { inFlight: 1 }]]);
    expect([m.mirror.destroyed, m.engine.inFlight()]).toEqual([0, 1]);
    m.mirror.release();
    await m.until(() => m.mirror.destroyed === 1);
    expect(m.engine.inFlight()).toBe(0);
  });
});

describe("the end, after a lazy unmount", () => {
  it("is reached by abort although no path leads to the mount", async () => {
    const m = await mount();
    writeFileSync(join(m.backing, "f"), "x");
    const held = m.sh(`exec 3< f; ${m.untilTold}; cat <&3`);
    const failed = expect(held).rejects.toThrow();
    await m.until(() => m.mirror.handles.size === 1);
    expect(await m.engine.unmount(true)).toBe(0);
    m.engine.abort();
    await m.engine.ended;
    m.tell();
    await failed;
    expect(m.mirror.destroyed).toBe(1);
  });
});

describe("a mount that cannot be", () => {
  it.each([
    ["missing", Errno.ENOENT, "make the directory first"],
    ["file", Errno.ENOTDIR, "not a directory"],
  ])("on a %s mount point says why", async (name, errno, remedy) => {
    const m = await mount();
    writeFileSync(join(m.scratch, "file"), "");
    const options = {
      mountpoint: join(m.scratch, name),
      source: "s",
      subtype: "s",
      flags: 0,
      allowOther: false,
      maxStackDepth: 0,
      maxWriteBytes: 4096,
    } as const;
    const attempt = (): unknown =>
      startEngine(
        options,
        () => {
          throw new Error("must not be made");
        },
        { request: () => undefined, anomaly: () => undefined },
      );
    expect(attempt).toThrow(FsError);
    expect(attempt).toThrow(remedy);
    expect(attempt).toThrow(expect.objectContaining({ errno }) as Error);
  });

  it("is taken down again if it gets no filesystem", async () => {
    const m = await mount();
    const mountpoint = join(m.scratch, "other");
    mkdirSync(mountpoint);
    const options = { mountpoint, source: "s", subtype: "s", flags: 0, allowOther: false, maxStackDepth: 0, maxWriteBytes: 4096 } as const;
    const attempt = (): unknown =>
      startEngine(
        options,
        () => {
          throw new Error("no layers");
        },
        { request: () => undefined, anomaly: () => undefined },
      );
    expect(attempt).toThrow("no layers");
    expect(mountLine(mountpoint)).toBeUndefined();
    rmdirSync(mountpoint);
  });
});

async function eventually(assertion: () => Promise<void>): Promise<void> {
  for (let i = 0; ; i++) {
    try {
      return await assertion();
    } catch (error) {
      if (i === 1_000) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
