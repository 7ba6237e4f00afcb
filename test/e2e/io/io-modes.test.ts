/**
 * The I/O modes that the kernel allows on one inode, in every possible order of granted and mediated opens, readers and
 * writers. No application ever sees an error of ours. The user id decides whether an open is granted or mediated.
 */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import {
  Actor,
  grantsOf,
  layers,
  mountSluice,
  mountsShareProcess,
  type PlainStat,
  publicFile,
  requires,
  type SluiceMount,
  statusOf,
  treeHash,
} from "@sluice/testkit";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");
const MEDIATED_UID = 2001;
const policy = `
version: 1
default: grant
rules:
  - { name: one-user, subject: { uid: [${MEDIATED_UID}] }, effect: mediate }
`;

/** One open: its user, and its access mode. */
type Step = "granted read" | "granted write" | "mediated read" | "mediated write";
const STEPS: Step[] = ["granted read", "granted write", "mediated read", "mediated write"];
const sequences = STEPS.flatMap((a) => STEPS.flatMap((b) => STEPS.map((c) => [a, b, c] as const)));

const OLD = "old content";
const nameOf = (steps: readonly Step[]): string => steps.join(" ").replaceAll(" ", "-");

interface Cast {
  mount: SluiceMount;
  lower: string;
  upper: string;
  granted: Actor;
  mediated: Actor;
}

async function cast(layer: "lower" | "upper", names: string[]): Promise<Cast> {
  const { lower, upper } = layers({ [layer]: Object.fromEntries(names.map((name) => [name, publicFile(OLD)])) });
  const mount = await mountSluice({ lowers: [lower], upper, policy });
  return { mount, lower, upper, granted: await Actor.start(), mediated: await Actor.start(MEDIATED_UID) };
}

interface Opened {
  step: Step;
  actor: Actor;
  fd: number;
  /** The layer is the one before a later writer's copy-up: such a reader may continue with the old data. */
  before: string;
}

/** Opens, writes or reads; then repeats the operation on every open descriptor. Returns every unexpected result. */
async function play(scene: Cast, steps: readonly Step[]): Promise<string[]> {
  const wrong: string[] = [];
  const path = scene.mount.path(nameOf(steps));
  const ino = ((await scene.granted.do("stat", path)) as unknown as PlainStat).ino;
  const opened: Opened[] = [];
  let content = OLD;
  for (const step of steps) {
    const actor = step.startsWith("granted") ? scene.granted : scene.mediated;
    const writes = step.endsWith("write");
    const fd = await actor.do("open", path, writes ? O.RDWR : O.RDONLY);
    if (fd < 0) return [...wrong, `${step}: open gave ${fd}`];
    if (writes) {
      const stamp = `${opened.length}`;
      if ((await actor.do("write", fd, stamp, opened.length)) !== 1) wrong.push(`${step}: write failed`);
      content = content.slice(0, opened.length) + stamp + content.slice(opened.length + 1);
    }
    opened.push({ step, actor, fd, before: content });
    const seen = await actor.do<string | number>("read", fd, 32, 0);
    if (seen !== content) wrong.push(`${step}: read ${seen}, not ${content}`);
    const stat = (await actor.do("fstat", fd)) as unknown as PlainStat;
    if (stat.ino !== ino || Number(stat.size) !== OLD.length)
      wrong.push(`${step}: fstat gave ${stat.ino} of ${stat.size} bytes, not ${ino}`);
  }
  for (const { step, actor, fd, before } of opened) {
    const seen = await actor.do<string | number>("read", fd, 32, 0);
    if (seen !== content && (step.endsWith("write") || seen !== before)) wrong.push(`${step}: later read ${seen}, not ${content}`);
    const map = await actor.do("map", fd, 11, step.endsWith("write"));
    if (map < 0) wrong.push(`${step}: mmap gave ${map}`);
    else await actor.do("unmap", map);
  }
  for (const { actor, fd } of opened) await actor.do("close", fd);
  const left = await scene.granted.do<string | number>("contents", path);
  if (left !== content) wrong.push(`at last ${left}, not ${content}`);
  return wrong.map((what) => `${nameOf(steps)}: ${what}`);
}

for (const layer of ["lower", "upper"] as const) {
  test(`every order of three opens of a file of the ${layer} layer`, async () => {
    const scene = await cast(layer, sequences.map(nameOf));
    const before = treeHash(scene.lower);
    const wrong: string[] = [];
    for (const steps of sequences) wrong.push(...(await play(scene, steps)));
    expect(wrong).toEqual([]);
    expect(treeHash(scene.lower)).toBe(before);
    // The kernel waits for no answer to RELEASE.
    await expect.poll(async () => (await statusOf(scene.mount)).grants).toBe(0);
    expect((await statusOf(scene.mount)).anomalies).toBe(0);
    await scene.mount.stop();
  }, 180_000);
}

test("a passthrough reader of the lower file continues while a writer copies up", async () => {
  const scene = await cast("lower", ["f"]);
  const { mount, granted, mediated, upper } = scene;
  const before = treeHash(scene.lower);
  const path = mount.path("f");
  const reader = await granted.do("open", path, O.RDONLY);
  const map = await granted.do("map", reader, OLD.length, false);
  const seen = (await granted.do("fstat", reader)) as unknown as PlainStat;
  const writer = await granted.do("open", path, O.RDWR);
  expect(await granted.do("write", writer, "NEW", 0)).toBe(3);
  expect(await granted.do("read", reader, 32, 0)).toBe(OLD);
  expect(await granted.do("mapRead", map, 0, OLD.length)).toBe(OLD);
  expect(await mediated.do("contents", path)).toBe("NEW content");
  const late = await granted.do("open", path, O.RDONLY);
  expect(await granted.do("read", late, 32, 0)).toBe("NEW content");
  const grants = (await grantsOf(mount)).map(({ layer, mode, write }) => [layer, mode, write]);
  expect(grants).toEqual([
    ["lower0", "passthrough", false],
    ["upper", "passthrough", true],
    ["upper", "passthrough", false],
  ]);
  expect(((await granted.do("stat", path)) as unknown as PlainStat).ino).toBe(seen.ino);
  // The mount must still answer requests on the descriptor from before the copy-up.
  expect(await granted.do("fstat", reader)).toMatchObject({ ino: seen.ino });
  // Two opens have no name to look up again: the kernel's own open for an ioctl, and a reader's open by descriptor.
  expect(await granted.do("getFlags", reader)).toBeGreaterThanOrEqual(0);
  const again = await granted.do("open", `/proc/self/fd/${reader}`, O.RDONLY);
  expect(await granted.do("read", again, 32, 0)).toBe("NEW content");
  expect(await granted.do("close", again)).toBe(0);
  // A writer by that descriptor is the one case that the kernel makes impossible.
  expect(await granted.do("open", `/proc/self/fd/${reader}`, O.RDWR)).toBe(-Errno.ESTALE);
  // An open by path works, which the old node serves, too: the kernel may find it by either id.
  expect(await granted.do("chmod", path, 0o640)).toBe(0);
  expect(await granted.do("syscall", "truncate", path, 5)).toBe(0);
  expect(await granted.do("read", late, 32, 0)).toBe("NEW c");
  expect(await granted.do("read", reader, 32, 0)).toBe(OLD);
  expect(readFileSync(join(upper, "f"), "utf8")).toBe("NEW c");
  await granted.stop();
  expect(treeHash(scene.lower)).toBe(before);
  await mount.stop();
});

test("a reader continues if the first open after the copy-up has no name to look up again", async () => {
  const { mount, granted, mediated } = await cast("lower", ["f"]);
  const path = mount.path("f");
  const reader = await granted.do("open", path, O.RDONLY);
  expect(await granted.do("chmod", path, 0o666)).toBe(0);
  expect(await granted.do("getFlags", reader)).toBeGreaterThanOrEqual(0);
  const again = await granted.do("open", `/proc/self/fd/${reader}`, O.RDONLY);
  expect(await granted.do("read", again, 32, 0)).toBe(OLD);
  const writers = [
    [granted, "1"],
    [mediated, "2"],
  ] as const;
  for (const [actor, text] of writers) {
    const writer = await actor.do("open", path, O.RDWR);
    expect(await actor.do("write", writer, text, 0)).toBe(1);
    expect(await actor.do("read", writer, 32, 0)).toBe(`${text}ld content`);
    expect(await actor.do("close", writer)).toBe(0);
  }
  expect(await granted.do("read", again, 32, 0)).toBe("2ld content");
  expect(await granted.do("read", reader, 32, 0)).toBe(OLD);
  await granted.stop();
  await mount.stop();
});

test("size and times are those of the upper file, to the nanosecond, after passthrough writes", async () => {
  const scene = await cast("upper", ["f"]);
  const { mount, granted, mediated, upper } = scene;
  const path = mount.path("f");
  const same = async (what: string): Promise<void> => {
    const host = statSync(join(upper, "f"), { bigint: true });
    const stat = (await mediated.do("stat", path)) as unknown as PlainStat;
    const ns = (time: string): bigint => BigInt(time.replace(".", ""));
    expect([what, stat.size, ns(stat.mtime), ns(stat.ctime)]).toEqual([what, String(host.size), host.mtimeNs, host.ctimeNs]);
  };
  const fd = await granted.do("open", path, O.RDWR);
  await same("opened");
  expect(await granted.do("fill", fd, 0x61, 100_000, 50)).toBe(100_000);
  await same("written");
  const map = await granted.do("map", fd, 4096, true);
  // A stat before the writes gives the kernel attributes that it could cache; it does not hear of the writes.
  await same("mapped");
  await granted.do("mapWrite", map, 10, "through the mapping");
  expect(await granted.do("unmap", map)).toBe(0);
  await same("written through a mapping");
  expect(await granted.do("ftruncate", fd, 7)).toBe(0);
  await same("truncated");
  expect(await granted.do("append", await granted.do("open", path, O.WRONLY | O.APPEND), "tail")).toBe(4);
  await same("appended");
  expect(await granted.do("close", fd)).toBe(0);
  await same("closed");
  await granted.stop();
  await mount.stop();
});

test("a mapping whose descriptor is closed does not stop anybody from opening the file in another mode", async () => {
  const scene = await cast("upper", ["f"]);
  const { mount, granted, mediated } = scene;
  const path = mount.path("f");
  const fd = await granted.do("open", path, O.RDWR);
  const map = await granted.do("map", fd, OLD.length, true);
  expect(await granted.do("close", fd)).toBe(0);
  await expect.poll(async () => (await statusOf(mount)).grants).toBe(0);
  const other = await mediated.do("open", path, O.RDWR);
  expect(other).toBeGreaterThan(0);
  expect((await grantsOf(mount))[0]?.mode).toBe("mediated");
  await granted.do("mapWrite", map, 0, "MAP");
  expect(await mediated.do("write", other, "X", 10)).toBe(1);
  expect(await mediated.do("close", other)).toBe(0);
  expect(await granted.do("mapRead", map, 0, OLD.length)).toBe("MAP contenX");
  await granted.stop();
  await mount.stop();
});
