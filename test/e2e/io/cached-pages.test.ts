/** A second open of a mediated file reads from the kernel's pages if the file is unchanged, and never if it changed. */
import { closeSync, openSync, readSync, statSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import {
  Actor,
  eventually,
  layers,
  mountSluice,
  mountsShareProcess,
  policyOf,
  publicFile,
  requires,
  type SluiceMount,
  statusOf,
} from "@sluice/testkit";
import { O } from "@sluice/vfs";
import { expect } from "vitest";
import { requestsOf, WITH_METRICS } from "../../passthrough/harness/request-counts.js";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const MEDIATE = policyOf("mediate");

function mounted(policy: string): Promise<SluiceMount> {
  const { lower, upper } = layers({ lower: { f: publicFile("old content") }, upper: { g: publicFile("old content") } });
  return mountSluice({ lowers: [lower], upper, policy, args: WITH_METRICS });
}

function read(path: string): string {
  const fd = openSync(path, "r");
  const bytes = Buffer.alloc(64);
  const length = readSync(fd, bytes);
  closeSync(fd);
  return bytes.toString("latin1", 0, length);
}

test("reads an unchanged file from cached pages after another open, and shows each change at once", async () => {
  const mount = await mounted(MEDIATE);
  for (const name of ["f", "g"]) {
    const path = mount.path(name);
    expect(read(path)).toBe("old content");
    const asked = async (): Promise<number> => {
      const before = await requestsOf(mount, "READ");
      for (let i = 0; i < 5; i++) expect(read(path)).toBe("old content");
      return (await requestsOf(mount, "READ")) - before;
    };
    // Another process may make the kernel drop these pages in between.
    await expect.poll(asked).toBe(0);
    // The loop runs many times within one tick of the clock of file times.
    for (let i = 0; i < 200; i++) {
      writeFileSync(path, `content ${i}`);
      expect(read(path)).toBe(`content ${i}`);
    }
    truncateSync(path, 3);
    expect(read(path)).toBe("con");
    const fd = openSync(path, "r+");
    writeSync(fd, "C");
    expect(read(path)).toBe("Con");
    closeSync(fd);
    expect(read(path)).toBe("Con");
  }
  await mount.stop();
});

test("a mediated reader sees writes that passed the daemon by, and writes under an obligation", async () => {
  const rules = [
    "  - { name: granted, subject: { uid: [2001] }, effect: grant }",
    "  - { name: observed, subject: { uid: [2002] }, effect: mediate, obligations: { audit: each-io } }",
  ];
  const mount = await mounted(`${MEDIATE}rules:\n${rules.join("\n")}\n`);
  const path = mount.path("g");
  const writers = [await Actor.start(2002), await Actor.start(2001)];
  for (let round = 0; round < 30; round++) {
    const text = `content ${String(round).padStart(3, "0")}`;
    const writer = writers[Math.floor(round / 15)] as Actor;
    expect(read(path).length).toBe(11);
    const fd = await writer.do("open", path, O.RDWR);
    expect(await writer.do("write", fd, text, 0)).toBe(text.length);
    expect(await writer.do("close", fd)).toBe(0);
    expect(read(path)).toBe(text);
  }
  for (const writer of writers) await writer.stop();
  await mount.stop();
});

test("a mediated reader sees the changes of a mediated mapping beside a grant, long after the mapping was closed", async () => {
  const { lower, upper } = layers({ upper: { g: publicFile("old content") } });
  const granted = "rules:\n  - { name: granted, subject: { uid: [2001] }, effect: grant }\n";
  const mount = await mountSluice({ lowers: [lower], upper, policy: `${MEDIATE}${granted}` });
  const path = mount.path("g");
  const [writer, other] = [await Actor.start(), await Actor.start(2001)];
  expect(read(path)).toBe("old content");
  const reader = await other.do("open", path, O.RDONLY);
  const fd = await writer.do("open", path, O.RDWR);
  const map = await writer.do("map", fd, 11, true);
  await writer.do("mapWrite", map, 0, "one");
  expect(await writer.do("close", fd)).toBe(0);
  expect(await other.do("close", reader)).toBe(0);
  // The page is dirty already: no time of the file changes any more.
  for (const text of ["two", "six"]) {
    await eventually("nobody has it open", 30_000, async () => (await statusOf(mount)).openFilesByMode["passthrough"] === 0);
    expect(read(path).slice(3)).toBe(" content");
    await writer.do("mapWrite", map, 0, text);
    expect(read(path)).toBe(`${text} content`);
    expect(statSync(path, { bigint: true }).mtimeNs).toBe(statSync(join(upper, "g"), { bigint: true }).mtimeNs);
  }
  await writer.stop();
  await other.stop();
  await mount.stop();
});
