/**
 * After a change of policy an open is refused, including its pages and mappings, or it is reported as passing through. The test
 * reads the report from `sluice status` and `sluice grants`, and then checks it.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  Actor,
  eventually,
  layers,
  mountSluice,
  mountsShareProcess,
  publicFile,
  requires,
  scratch,
  type SluiceMount,
} from "@sluice/testkit";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");
const { test: endingHolders } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough", "the machine's pid namespace");

const AMPLE_MS = 60_000;
const HOLDER = 2001;
const PAGE = 4096;
const OLD = "old ".repeat(PAGE / 4);
const NEW = "new ".repeat(PAGE / 4);

/** The effect for the holder's opens; `others` is the effect for everybody else. */
const policy = (holder: string, others = "mediate"): string =>
  `version: 1\ndefault: ${others}\nrules:\n  - { name: holder, subject: { uid: [${HOLDER}] }, effect: ${holder} }\n`;

interface Revocation {
  passing: number;
  refused: number;
  signalled: number;
}
interface Grant {
  change: string;
  path: string;
  pid: number;
  nodeId: number;
  revoked: { effect: string; passing: string | null } | null;
}

interface Stage {
  mount: SluiceMount;
  path: string;
  /** The file in the upper layer. */
  below: string;
  holder: Actor;
  other: Actor;
  edit(text: string): void;
  counts(): Promise<Revocation>;
  /** The state of the holder's open: null if it is refused. */
  passing(): Promise<string | null | undefined>;
  end(): Promise<void>;
}

async function staged(before: string, { args = [], env }: { args?: string[]; env?: Record<string, string> } = {}): Promise<Stage> {
  const { lower, upper } = layers({ upper: { f: publicFile(OLD) } });
  const mount = await mountSluice({ lowers: [lower], upper, policy: before, args, ...(env === undefined ? {} : { env }) });
  const [holder, other] = [await Actor.start(HOLDER), await Actor.start()];
  return {
    mount,
    path: mount.path("f"),
    below: join(upper, "f"),
    holder,
    other,
    edit: (text) => writeFileSync(mount.policyFile as string, text),
    counts: async () => ((await mount.status()) as { revocation: Revocation }).revocation,
    passing: async () =>
      ((await mount.grants()) as Grant[]).find(({ pid, change }) => pid === holder.pid && change === "open")?.revoked?.passing,
    end: async () => {
      await holder.stop();
      await other.stop();
      await mount.stop();
    },
  };
}

const refused = (stage: Stage, count = 1): Promise<void> =>
  eventually(`${count} refused, none passing`, AMPLE_MS, async () => {
    const { refused: is, passing } = await stage.counts();
    return is === count && passing === 0;
  });

/** Another user writes the file and reads it, so that the page cache holds it for that open. */
async function bringPages({ other, path }: Stage): Promise<number> {
  const fd = await other.do("open", path, O.RDWR);
  expect(await other.do("write", fd, NEW, 0)).toBe(PAGE);
  expect(await other.do<unknown>("read", fd, PAGE, 0)).toBe(NEW);
  return fd;
}

test("a refused open does not read the pages that a later open loads", async () => {
  const stage = await staged(policy("mediate"));
  const { holder, other, path } = stage;
  const fd = await holder.do("open", path, O.RDONLY);
  expect(await holder.do<unknown>("read", fd, 4, 0)).toBe("old ");
  const ino = await other.do<{ ino: string }>("stat", path);
  stage.edit(policy("deny"));
  await refused(stage);
  expect(await stage.passing()).toBe(null);
  await bringPages(stage);
  expect(await holder.do("read", fd, 4, 0)).toBe(-Errno.EACCES);
  expect((await other.do<{ ino: string }>("stat", path)).ino).toBe(ino.ino);
  // The kernel maps it without asking the daemon, and has no pages to show.
  const mapping = await holder.do("map", fd, PAGE, false);
  expect(mapping).toBeGreaterThan(0);
  expect(await holder.do("mapRead", mapping, 0, 4)).toEqual({ gone: "SIGBUS" });
  await stage.end();
});

test("a refused open stores nothing through a new mapping, and nobody reads such a store", async () => {
  const stage = await staged(policy("mediate"));
  const { holder, other, path, below } = stage;
  const fd = await holder.do("open", path, O.RDWR);
  expect(await holder.do<unknown>("read", fd, 4, 0)).toBe("old ");
  stage.edit(policy("deny"));
  await refused(stage);
  const written = await bringPages(stage);
  const shared = await other.do("map", written, PAGE, true);
  expect(await other.do<unknown>("mapRead", shared, 0, 4)).toBe("new ");
  expect(await holder.do("write", fd, "evil", 0)).toBe(-Errno.EACCES);
  expect(await holder.do("fill", fd, 0x65, PAGE, 0)).toBe(-Errno.EACCES);
  const mapping = await holder.do("map", fd, PAGE, true);
  expect(mapping).toBeGreaterThan(0);
  expect(await holder.do("mapWrite", mapping, 0, "evil")).toEqual({ gone: "SIGBUS" });
  expect(await other.do<unknown>("mapRead", shared, 0, 4)).toBe("new ");
  expect(await other.do<unknown>("read", written, PAGE, 0)).toBe(NEW);
  expect(await other.do("unmap", shared)).toBe(0);
  await other.do("close", written);
  expect(readFileSync(below, "utf8")).toBe(NEW);
  await stage.end();
});

test("an open that shares its pages with an allowed one passes through until that open and its mappings are gone", async () => {
  const stage = await staged(policy("mediate"));
  const { holder, other, path } = stage;
  const fd = await holder.do("open", path, O.RDONLY);
  const shares = await other.do("open", path, O.RDWR);
  stage.edit(policy("deny"));
  await eventually("the open passes through", AMPLE_MS, async () => (await stage.counts()).passing === 1);
  expect(await stage.passing()).toBe("shared-pages");
  expect(await other.do("write", shares, NEW, 0)).toBe(PAGE);
  expect(await other.do<unknown>("read", shares, PAGE, 0)).toBe(NEW);
  expect(await holder.do<unknown>("read", fd, 4, 0)).toBe("new ");
  const mapping = await other.do("map", shares, PAGE, true);
  expect(await other.do("mapWrite", mapping, 0, "kept")).toBe(0);
  await other.do("close", shares);
  expect((await stage.counts()).passing).toBe(1);
  await other.do("unmap", mapping);
  await refused(stage);
  expect(await holder.do("read", fd, 4, 0)).toBe(-Errno.EACCES);
  await bringPages(stage);
  expect(await holder.do("read", fd, 4, 0)).toBe(-Errno.EACCES);
  await stage.end();
});

test("data that an allowed open stored through a mapping reaches the file although the kernel writes it back by a refused one", async () => {
  const stage = await staged(policy("mediate"));
  const { holder, other, path, below } = stage;
  const shares = await other.do("open", path, O.RDWR);
  const mapping = await other.do("map", shares, PAGE, true);
  const fd = await holder.do("open", path, O.RDWR);
  stage.edit(policy("deny"));
  await eventually("the open passes through", AMPLE_MS, async () => (await stage.counts()).passing === 1);
  // The kernel names the open that was mapped last.
  expect(await holder.do("map", fd, PAGE, true)).toBeGreaterThan(0);
  expect(await other.do("mapWrite", mapping, 0, "kept")).toBe(0);
  expect(await other.do("fsync", shares)).toBe(0);
  expect(readFileSync(below, "utf8").slice(0, 4)).toBe("kept");
  expect(await holder.do("write", fd, "evil", 0)).toBe(-Errno.EACCES);
  await stage.end();
});

test("a mediated open beside a grant passes through as long as it can be mapped; a write-only open is refused", async () => {
  const stage = await staged(policy("mediate", "grant"));
  const { holder, other, path, below } = stage;
  await other.do("open", path, O.RDONLY);
  const fd = await holder.do("open", path, O.RDWR);
  stage.edit(policy("deny", "grant"));
  await eventually("the open passes through", AMPLE_MS, async () => (await stage.counts()).passing === 1);
  expect(await stage.passing()).toBe("mapping");
  expect(await holder.do("read", fd, 4, 0)).toBe(-Errno.EACCES);
  const mapping = await holder.do("map", fd, PAGE, true);
  expect(await holder.do("mapWrite", mapping, 0, "past")).toBe(0);
  expect(readFileSync(below, "utf8").slice(0, 4)).toBe("past");
  await holder.do("unmap", mapping);
  await holder.do("close", fd);
  stage.edit(policy("mediate", "grant"));
  let writer = -1;
  await eventually("the open is allowed again", AMPLE_MS, async () => (writer = await holder.do("open", path, O.WRONLY)) > 0);
  stage.edit(policy("deny", "grant"));
  await refused(stage);
  expect(await holder.do("write", writer, "evil", 0)).toBe(-Errno.EACCES);
  expect(await holder.do("map", writer, PAGE, true)).toBe(-Errno.EACCES);
  await stage.end();
});

endingHolders("--on-revoke sigterm ends the holder of a mediated open that passes through", async () => {
  const stage = await staged(policy("mediate", "grant"), { args: ["--on-revoke", "sigterm"] });
  const { holder, other, path } = stage;
  await other.do("open", path, O.RDONLY);
  expect(await holder.do("open", path, O.RDONLY)).toBeGreaterThan(0);
  stage.edit(policy("deny", "grant"));
  expect(await holder.exit).toBe("SIGTERM");
  await eventually("the signal is counted", AMPLE_MS, async () => (await stage.counts()).signalled === 1);
  expect(other.alive).toBe(true);
  await stage.end();
});

test("a later obligation is not bypassed by the page cache: the open is refused until the file is opened again", async () => {
  const stage = await staged(policy("mediate"));
  const { holder, path } = stage;
  const fd = await holder.do("open", path, O.RDONLY);
  expect(await holder.do<unknown>("read", fd, 4, 0)).toBe("old ");
  stage.edit(policy("mediate, obligations: { audit: each-io }"));
  await refused(stage);
  await bringPages(stage);
  expect(await holder.do("read", fd, 4, 0)).toBe(-Errno.EACCES);
  const again = await holder.do("open", path, O.RDONLY);
  expect(await holder.do<unknown>("read", again, 4, 0)).toBe("new ");
  expect(await holder.do("read", fd, 4, 0)).toBe(-Errno.EACCES);
  await stage.end();
});

test("an open that is allowed again reads and writes the current file, and sees later writes of others", async () => {
  const stage = await staged(policy("mediate", "grant"));
  const { holder, path, other } = stage;
  const fd = await holder.do("open", path, O.RDWR);
  expect(await holder.do<unknown>("read", fd, 4, 0)).toBe("old ");
  stage.edit(policy("deny", "grant"));
  await refused(stage);
  const written = await bringPages(stage);
  expect(await holder.do("read", fd, 4, 0)).toBe(-Errno.EACCES);
  stage.edit(policy("mediate", "grant"));
  await eventually("the open is allowed again", AMPLE_MS, async () => (await holder.do<unknown>("read", fd, 4, 0)) === "new ");
  expect(await stage.counts()).toMatchObject({ passing: 0, refused: 0 });
  expect(await other.do("write", written, "more", 0)).toBe(4);
  expect(await holder.do<unknown>("read", fd, 8, 0)).toBe("morenew ");
  expect(await holder.do("write", fd, "back", 4)).toBe(4);
  expect(await other.do<unknown>("read", written, 8, 0)).toBe("moreback");
  await stage.end();
});

test("of two refused opens that share pages, allowing one makes the other pass through", async () => {
  const stage = await staged(policy("mediate"));
  const { holder, other, path } = stage;
  const both = (effect: string): string => `version: 1\ndefault: ${effect}\n`;
  const [fd, second] = [await holder.do("open", path, O.RDONLY), await other.do("open", path, O.RDONLY)];
  stage.edit(both("deny"));
  await refused(stage, 2);
  stage.edit(policy("deny"));
  await eventually("the second open reads", AMPLE_MS, async () => (await other.do<unknown>("read", second, 4, 0)) === "old ");
  await eventually("status counts the open as passing through", AMPLE_MS, async () => (await stage.counts()).passing === 1);
  expect(await stage.passing()).toBe("shared-pages");
  stage.edit(both("deny"));
  await refused(stage, 2);
  expect(await holder.do("read", fd, 4, 0)).toBe(-Errno.EACCES);
  await stage.end();
});

test("an open without a name is denied if it would share pages with a refused open", async () => {
  const stage = await staged(policy("mediate"));
  const { holder, other, path } = stage;
  const fd = await holder.do("open", path, O.RDONLY);
  const place = await other.do("open", path, O.PATH);
  stage.edit(policy("deny"));
  await refused(stage);
  expect(await other.do("open", `/proc/self/fd/${place}`, O.RDONLY)).toBe(-Errno.EACCES);
  expect(await other.do("open", path, O.RDONLY)).toBeGreaterThan(0);
  expect(await holder.do("read", fd, 4, 0)).toBe(-Errno.EACCES);
  expect(await stage.counts()).toMatchObject({ passing: 0, refused: 1 });
  await stage.end();
});

test("reads that were under way when their opens were revoked are refused, and load no pages", async () => {
  const hold = join(scratch(), "hold");
  const plant = fileURLToPath(new URL("./harness/hold-reads.mjs", import.meta.url));
  const stage = await staged(policy("mediate"), {
    env: { NODE_OPTIONS: `--import=${plant}`, SLUICE_HOLD_READS: hold },
  });
  const { holder, other, path } = stage;
  const unbuffered = await Actor.start(HOLDER);
  const fd = await holder.do("open", path, O.RDONLY);
  const direct = await unbuffered.do("open", path, O.RDONLY | O.DIRECT);
  writeFileSync(hold, "");
  const underWay = [holder.do("read", fd, PAGE, 0), unbuffered.do("read", direct, PAGE, 0)];
  await eventually("both reads are held", AMPLE_MS, () => existsSync(`${hold}.held`) && readFileSync(`${hold}.held`).length === 2);
  stage.edit(policy("deny"));
  await eventually("the opens are revoked", AMPLE_MS, async () => (await stage.counts()).passing === 2);
  // The kernel waits for the answer with the page locked, and cannot drop the page before.
  expect(await stage.passing()).toBe("kept-pages");
  const written = await other.do("open", path, O.WRONLY);
  expect(await other.do("write", written, NEW, 0)).toBe(PAGE);
  rmSync(hold);
  expect(await Promise.all(underWay)).toEqual([-Errno.EACCES, -Errno.EACCES]);
  await refused(stage, 2);
  expect(await holder.do("read", fd, 4, 0)).toBe(-Errno.EACCES);
  await unbuffered.stop();
  await stage.end();
});
