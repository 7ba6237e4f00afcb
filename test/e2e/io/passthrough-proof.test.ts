/** Proves the passthrough: while the daemon is stopped, I/O on granted files continues, and I/O on mediated files waits. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { O } from "@sluice/vfs";
import { Actor, eventually, layers, mountSluice, mountsShareProcess, requires, type SluiceMount, within } from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");

const MIB = 1 << 20;
const AMPLE_MS = 60_000;
/** How long the test watches that something does not happen. */
const WATCH_MS = 1_000;

const policy = `
version: 1
default: grant
rules:
  - name: mediated
    path: "mediated*"
    effect: mediate
`;

function content(): string {
  return Array.from({ length: 4 }, (_, i) => String.fromCharCode(97 + i).repeat(MIB)).join("");
}

async function stopped(mount: SluiceMount): Promise<void> {
  mount.signalServer("SIGSTOP");
  await eventually("the daemon is stopped", AMPLE_MS, () => / T /.test(readFileSync(`/proc/${mount.serverPid}/stat`, "latin1")));
}

async function mountWith(layer: "upper" | "lower", name: string): Promise<{ mount: SluiceMount; host: string }> {
  const { lower, upper } = layers({ [layer]: { [name]: content() } });
  // The file leaves the page cache, so a read must reach the disk.
  const real = join(layer === "upper" ? upper : lower, name);
  spawnSync("dd", [`if=${real}`, "iflag=nocache", "count=0", "conv=fdatasync", "status=none"]);
  const mount = await mountSluice({ lowers: [lower], upper, policy });
  return { mount, host: join(upper, name) };
}

function hashOf(byte: string): string {
  return createHash("sha256").update(byte.repeat(MIB)).digest("hex");
}

for (const layer of ["upper", "lower"] as const)
  describe(`a file of the ${layer} layer, opened for reading and writing`, () => {
    test("is read, written and mapped by the kernel alone once it is granted", async () => {
      const { mount, host } = await mountWith(layer, "granted");
      const actor = await Actor.start();
      const fd = await actor.do("open", mount.path("granted"), O.RDWR);
      expect(fd).toBeGreaterThan(0);
      // The first write asks for security.capability once; see the kernel facts on KILLPRIV_V2.
      expect(await actor.do("write", fd, "X", 0)).toBe(1);
      await stopped(mount);
      try {
        expect(await within(AMPLE_MS, actor.do<string>("readHash", fd, MIB, 2 * MIB))).toBe(hashOf("c"));
        expect(await within(AMPLE_MS, actor.do("fill", fd, 0x7a, 4 * MIB, MIB))).toBe(4 * MIB);
        const map = await within(AMPLE_MS, actor.do("map", fd, 5 * MIB, true));
        expect(map).toBeGreaterThan(0);
        expect(await within(AMPLE_MS, actor.do("mapWrite", map, 3 * MIB, "mapped"))).toBe(0);
        expect(await within(AMPLE_MS, actor.do<string>("mapRead", map, MIB - 2, 4))).toBe("aazz");
        expect(await within(AMPLE_MS, actor.do<string>("read", fd, 8, 3 * MIB))).toBe("mappedzz");
        // On the host, without the daemon.
        const written = readFileSync(host, "latin1");
        expect([written.length, written.slice(0, 2), written.slice(3 * MIB, 3 * MIB + 6)]).toEqual([5 * MIB, "Xa", "mapped"]);
        // close waits for FLUSH, which the daemon answers.
        const closed = actor.do("close", fd);
        expect(await within(WATCH_MS, closed)).toBe("pending");
        mount.signalServer("SIGCONT");
        expect(await within(AMPLE_MS, closed)).toBe(0);
      } finally {
        mount.signalServer("SIGCONT");
      }
      // A mapping holds the mount like an open file.
      await actor.stop();
      expect((await mount.stop()).code).toBe(0);
    });

    test("waits for the daemon in every read, write and fault if it is mediated", async () => {
      const { mount } = await mountWith(layer, "mediated");
      const actors = await Promise.all([Actor.start(), Actor.start(), Actor.start()]);
      const fds = await Promise.all(actors.map((actor) => actor.do("open", mount.path("mediated"), O.RDWR)));
      const map = await (actors[2] as Actor).do("map", fds[2], 4 * MIB, true);
      expect(await (actors[0] as Actor).do("write", fds[0], "X", 0)).toBe(1);
      await stopped(mount);
      try {
        const read = (actors[0] as Actor).do<string>("readHash", fds[0], MIB, 2 * MIB);
        const write = (actors[1] as Actor).do("fill", fds[1], 0x7a, 4096, MIB);
        const fault = (actors[2] as Actor).do<string>("mapRead", map, 3 * MIB, 4);
        expect(await within(WATCH_MS, Promise.race([read, write, fault]))).toBe("pending");
        mount.signalServer("SIGCONT");
        expect(await within(AMPLE_MS, Promise.all([read, write, fault]))).toEqual([hashOf("c"), 4096, "dddd"]);
      } finally {
        mount.signalServer("SIGCONT");
      }
      await Promise.all(actors.map((actor) => actor.stop()));
      expect((await mount.stop()).code).toBe(0);
    });
  });

test("the kernel alone reads a lower file opened only for reading", async () => {
  const { mount } = await mountWith("lower", "granted");
  const actor = await Actor.start();
  const fd = await actor.do("open", mount.path("granted"), O.RDONLY);
  await stopped(mount);
  try {
    expect(await within(AMPLE_MS, actor.do<string>("readHash", fd, MIB, 2 * MIB))).toBe(hashOf("c"));
    const map = await within(AMPLE_MS, actor.do("map", fd, 4 * MIB, false));
    expect(await within(AMPLE_MS, actor.do<string>("mapRead", map, 3 * MIB, 4))).toBe("dddd");
  } finally {
    mount.signalServer("SIGCONT");
  }
  await actor.stop();
  expect((await mount.stop()).code).toBe(0);
});
