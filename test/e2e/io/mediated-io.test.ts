/** I/O through the daemon behaves as I/O on the file itself, for every caller and every kind of call. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import {
  Actor,
  grantsOf,
  layers,
  mountSluice,
  mountsShareProcess,
  type PlainStat,
  policyOf,
  publicFile,
  requires,
  type SluiceMount,
  sparse,
  statusOf,
} from "@sluice/testkit";
import { seededRandom } from "@sluice/testkit/random";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const sharedPolicy = policyOf("mediate");
const MIB = 1 << 20;
const GIB = 2 ** 30;

interface Stage {
  mount: SluiceMount;
  upper: string;
  actors: Actor[];
}

async function staged(tree: Parameters<typeof layers>[0], count: number): Promise<Stage> {
  const { lower, upper } = layers(tree);
  const mount = await mountSluice({ lowers: [lower], upper, sharedPolicy });
  return { mount, upper, actors: await Promise.all(Array.from({ length: count }, () => Actor.start())) };
}

async function done({ mount, actors }: Stage): Promise<void> {
  for (const actor of actors) await actor.stop();
  await mount.stop();
}

test("random reads, writes, truncations and mappings by three processes equal a model", async () => {
  const stage = await staged({ lower: { f: publicFile(Buffer.alloc(MIB, "lower ")) } }, 3);
  const path = stage.mount.path("f");
  const { below } = seededRandom(20_240_229);
  let model = Buffer.alloc(MIB, "lower ");
  const fds: number[] = [];
  for (const actor of stage.actors) fds.push(await actor.do("open", path, O.RDWR));
  const maps: number[] = [];
  for (const [i, actor] of stage.actors.entries()) maps.push(await actor.do("map", fds[i], MIB, true));
  const wrong: string[] = [];
  for (let round = 0; round < 400; round++) {
    const who = below(3);
    const actor = stage.actors[who] as Actor;
    const at = below(MIB);
    const length = 1 + below(20_000);
    const text = String.fromCharCode(97 + (round % 26)).repeat(length);
    const kind = below(10);
    if (kind < 4) {
      await actor.do("write", fds[who], text, at);
      if (at + length > model.length) model = Buffer.concat([model, Buffer.alloc(at + length - model.length)]);
      model.write(text, at, "latin1");
    } else if (kind < 6 && at < model.length) {
      const end = Math.min(model.length, MIB, at + length);
      if (end <= at) continue;
      await actor.do("mapWrite", maps[who], at, text.slice(0, end - at));
      model.write(text.slice(0, end - at), at, "latin1");
    } else if (kind === 6) {
      // Never shorter than the mapped parts that others may touch next: that would be a SIGBUS of theirs.
      const size = MIB + below(MIB);
      await actor.do("ftruncate", fds[who], size);
      model = size <= model.length ? model.subarray(0, size) : Buffer.concat([model, Buffer.alloc(size - model.length)]);
      model = Buffer.from(model);
    } else {
      const seen = await actor.do<string>("read", fds[who], length, at);
      if (seen !== model.toString("latin1", at, at + length)) wrong.push(`round ${round}: ${length} bytes at ${at} differ`);
    }
  }
  expect(wrong).toEqual([]);
  expect((await grantsOf(stage.mount)).map(({ mode }) => mode)).toEqual(["mediated", "mediated", "mediated"]);
  for (const [i, actor] of stage.actors.entries()) {
    expect(await actor.do("unmap", maps[i])).toBe(0);
    expect(await actor.do("fsync", fds[i])).toBe(0);
  }
  expect(readFileSync(join(stage.upper, "f")).equals(model)).toBe(true);
  expect((await statusOf(stage.mount)).mediatedBytes["write"]).toBeGreaterThan(MIB);
  await done(stage);
});

test("appends of several processes neither overwrite nor tear one another", async () => {
  const stage = await staged({ upper: { log: publicFile("") } }, 3);
  const path = stage.mount.path("log");
  const LINES = 150;
  await Promise.all(
    stage.actors.map(async (actor, who) => {
      const fd = await actor.do("open", path, O.WRONLY | O.APPEND);
      for (let line = 0; line < LINES; line++) await actor.do("append", fd, `${who} ${line} ${"x".repeat(line)}\n`);
    }),
  );
  const lines = readFileSync(join(stage.upper, "log"), "latin1").trimEnd().split("\n");
  const expected = [0, 1, 2].flatMap((who) => Array.from({ length: LINES }, (_, line) => `${who} ${line} ${"x".repeat(line)}`));
  expect(lines.toSorted()).toEqual(expected.toSorted());
  // Each process' own appends are in order.
  expect(lines.filter((line) => line.startsWith("1 ")).map((line) => Number(line.split(" ")[1]))).toEqual(
    Array.from({ length: LINES }, (_, i) => i),
  );
  await done(stage);
});

test("O_DIRECT works, and a reader sees size changes", async () => {
  const stage = await staged({ lower: { f: publicFile(Buffer.alloc(3 * 4096, "a")) } }, 2);
  const [one, other] = stage.actors as [Actor, Actor];
  const path = stage.mount.path("f");
  expect(await one.do("syscall", "direct", path, 0x62)).toBe(0x62);
  expect(readFileSync(join(stage.upper, "f"), "latin1")).toBe("a".repeat(4096) + "b".repeat(4096) + "a".repeat(4096));
  const fd = await other.do("open", path, O.RDONLY);
  expect(await other.do("read", fd, 8, 4092)).toBe("aaaabbbb");
  expect(await one.do("syscall", "truncate", path, 4094)).toBe(0);
  expect(await other.do("read", fd, 8, 4090)).toBe("aaaa");
  expect(await one.do("syscall", "truncate", path, 10_000)).toBe(0);
  expect(await other.do("read", fd, 8, 4092)).toBe("aa\0\0\0\0\0\0");
  expect(await other.do("fstat", fd)).toMatchObject({ size: "10000" });
  expect(await other.do("write", fd, "x", 0)).toBe(-Errno.EBADF);
  const emptied = await one.do("open", path, O.WRONLY | O.TRUNC);
  expect(emptied).toBeGreaterThan(0);
  expect(await other.do("read", fd, 8, 0)).toBe("");
  await done(stage);
});

test("keeps holes beyond 4 GiB", async () => {
  const stage = await staged({ lower: { big: sparse(6 * GIB, [{ at: 5 * GIB + 3, data: "far away" }], { mode: 0o666 }) } }, 1);
  const [actor] = stage.actors as [Actor];
  const path = stage.mount.path("big");
  const fd = await actor.do("open", path, O.RDWR);
  expect(await actor.do("read", fd, 8, 5 * GIB + 3)).toBe("far away");
  expect(await actor.do("write", fd, "farther", 6 * GIB + 4090)).toBe(7);
  expect(await actor.do("read", fd, 7, 6 * GIB + 4090)).toBe("farther");
  expect(await actor.do("fstat", fd)).toMatchObject({ size: String(6 * GIB + 4097) });
  const host = statSync(join(stage.upper, "big"));
  expect(host.size).toBe(6 * GIB + 4097);
  expect(host.blocks * 512).toBeLessThan(MIB);
  await done(stage);
});

test("the mount's own attributes tell layer, mode, decision and revision, and are not listed", async () => {
  const stage = await staged({ lower: { "d/f": publicFile("f") } }, 1);
  const [actor] = stage.actors as [Actor];
  const path = stage.mount.path("d/f");
  const told = async (name: string): Promise<string | number> => actor.do<string | number>("getxattr", path, `user.sluice.${name}`);
  expect([await told("layer"), await told("mode")]).toEqual(["lower0", "closed"]);
  expect(await actor.do("getxattr", stage.mount.path("d"), "user.sluice.layer")).toBe("lower0");
  const fd = await actor.do("open", path, O.RDWR);
  const [grant] = await grantsOf(stage.mount);
  expect([await told("layer"), await told("mode"), await told("decision"), await told("revision")]).toEqual([
    "upper",
    "mediated",
    grant?.decision,
    grant?.revision,
  ]);
  expect(await actor.do("setxattr", path, "user.mine", "1")).toBe(0);
  expect(await actor.do("listxattr", path)).toEqual(["user.mine"]);
  expect(await actor.do("setxattr", path, "user.sluice.mode", "passthrough")).toBe(-Errno.EPERM);
  expect(await told("nonsense")).toBe(-Errno.ENODATA);
  const stat = (await actor.do("fstat", fd)) as unknown as PlainStat;
  expect(stat.size).toBe("1");
  await done(stage);
});

test("keeps the writes of a mapping before chattr +i, and no later ones", async () => {
  const stage = await staged({ lower: { f: publicFile(Buffer.alloc(MIB, "lower ")) } }, 1);
  const [actor] = stage.actors as [Actor];
  const IMMUTABLE = 0x10;
  const fd = await actor.do("open", stage.mount.path("f"), O.RDWR);
  const map = await actor.do("map", fd, MIB, true);
  await actor.do("mapWrite", map, 5000, "before");
  const flags = await actor.do("getFlags", fd);
  const set = await actor.do("setFlags", fd, flags | IMMUTABLE);
  await actor.do("mapWrite", map, 9000, "after");
  const late = [await actor.do("write", fd, "x", 0), await actor.do("fsync", fd)];
  const written = readFileSync(join(stage.upper, "f"), "latin1");
  // Without this, nobody could remove the file.
  await actor.do("setFlags", fd, flags);
  expect([set, ...late]).toEqual([0, -Errno.EPERM, -Errno.EPERM]);
  expect([written.slice(5000, 5006), written.slice(9000, 9005)]).toEqual(["before", "lower"]);
  await done(stage);
});
