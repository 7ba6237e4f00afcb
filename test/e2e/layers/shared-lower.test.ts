/** Lower layers that others change while they are mounted, with --shared-lower: the visible changes, their observers, and how soon. */
import { appendFileSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  Actor,
  directory,
  eventually,
  layers,
  mountSluice,
  mountsShareProcess,
  policyOf,
  publicFile,
  requires,
  type SluiceMount,
  statusOf,
  type Tree,
} from "@sluice/testkit";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";

mountsShareProcess();

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
/** The mount's timeout is a second; the rest is for a busy machine. */
const SOON_MS = 60_000;
const POLICIES = {
  granted: policyOf("grant"),
  mediated: policyOf("mediate"),
  nobody: undefined,
} as const;
const TREE: Tree = {
  f: publicFile("old"),
  gone: publicFile("old"),
  kept: publicFile("old"),
  "d/a": publicFile("a"),
  "d/sub/b": publicFile("b"),
  "both/lower": publicFile("lower"),
};

interface Stage {
  mount: SluiceMount;
  actor: Actor;
  lower: string;
  at(name: string): string;
  /** Replaces a file as others do who never write in place: a new file is renamed over the old one. */
  replace(name: string, content: string): void;
}

async function staged(policy: string | undefined, args: readonly string[] = ["--shared-lower"]): Promise<Stage> {
  const { lower, upper, root } = layers({ lower: TREE, upper: { both: directory(), "both/upper": publicFile("upper") } });
  const mount = await mountSluice({ lowers: [lower], upper, args, ...(policy === undefined ? {} : { sharedPolicy: policy }) });
  const replace = (name: string, content: string): void => {
    writeFileSync(join(root, "new"), content, { mode: 0o666 });
    renameSync(join(root, "new"), join(lower, name));
  };
  return { mount, actor: await Actor.start(), lower, at: (name) => mount.path(name), replace };
}

function reads(path: string, content: string): () => boolean {
  return () => {
    try {
      return readFileSync(path, "utf8") === content;
    } catch {
      return false;
    }
  };
}

for (const [kind, policy] of Object.entries(POLICIES))
  describe(`a lower layer that others change, ${kind}`, () => {
    test("replaced, grown, added and removed files are seen, and an open descriptor keeps its old file", async () => {
      const { mount, actor, lower, at, replace } = await staged(policy);
      for (const name of ["f", "gone", "kept"]) expect(readFileSync(at(name), "utf8")).toBe("old");
      expect(await actor.do("open", at("added"), O.RDONLY)).toBe(-Errno.ENOENT);
      const fd = await actor.do("open", at("f"), O.RDONLY);
      const ino = statSync(at("f")).ino;

      replace("f", "replaced");
      replace("added", "added");
      rmSync(join(lower, "gone"));
      appendFileSync(join(lower, "kept"), ", grown");
      await eventually("the new content", SOON_MS, reads(at("f"), "replaced"));
      await eventually("the new file", SOON_MS, reads(at("added"), "added"));
      await eventually("the growth", SOON_MS, reads(at("kept"), "old, grown"));
      expect(await actor.do("read", fd, 32, 0)).toBe("old");
      expect(statSync(at("f")).ino).not.toBe(ino);
      const { size } = await actor.do<{ size: string }>("fstat", fd);
      expect(size).toBe("3");
      expect(readdirSync(mount.mountpoint).sort()).toEqual(["added", "both", "d", "f", "kept"]);
      expect(await actor.do("open", at("gone"), O.RDONLY)).toBe(-Errno.ENOENT);

      // A write goes to a copy of the present file.
      appendFileSync(at("f"), " and written");
      expect(readFileSync(at("f"), "utf8")).toBe("replaced and written");
      expect(readFileSync(join(lower, "f"), "utf8")).toBe("replaced");
      expect(await actor.do("read", fd, 32, 0)).toBe("old");
      await actor.stop();
      expect((await mount.stop()).code).toBe(0);
    });

    test("a replaced directory is another one, with all below it, and a user inside does not reach the new one's files", async () => {
      const { mount, actor, lower, at } = await staged(policy);
      expect(readFileSync(at("d/sub/b"), "utf8")).toBe("b");
      const b = await actor.do("open", at("d/sub/b"), O.PATH);
      renameSync(join(lower, "d"), join(lower, "old-d"));
      mkdirSync(join(lower, "d/sub"), { recursive: true });
      writeFileSync(join(lower, "d/sub/b"), "new b");
      await eventually("the new directory", SOON_MS, reads(at("d/sub/b"), "new b"));
      await eventually("the old one under its new name", SOON_MS, reads(at("old-d/sub/b"), "b"));
      expect(readdirSync(at("d"))).toEqual(["sub"]);
      expect(await actor.do("open", `/proc/self/fd/${b}`, O.RDONLY)).toBe(-Errno.ESTALE);
      await actor.stop();
      expect((await mount.stop()).code).toBe(0);
    });

    test("merges names that come and go below a merged directory, and keeps changes of the upper layer", async () => {
      const { mount, actor, lower, at } = await staged(policy);
      expect(readdirSync(at("both")).sort()).toEqual(["lower", "upper"]);
      expect(await actor.do("rename", at("both/upper"), at("both/moved"))).toBe(0);
      writeFileSync(join(lower, "both/more"), "more");
      rmSync(join(lower, "both/lower"));
      await eventually("the new name", SOON_MS, reads(at("both/more"), "more"));
      await eventually("the list", SOON_MS, () => readdirSync(at("both")).sort().join() === "more,moved");
      // The directory itself is recreated below the one in the upper layer.
      rmSync(join(lower, "both"), { recursive: true });
      await eventually("the upper layer's alone", SOON_MS, () => readdirSync(at("both")).join() === "moved");
      mkdirSync(join(lower, "both"));
      writeFileSync(join(lower, "both/again"), "again");
      await eventually("a merged one again", SOON_MS, reads(at("both/again"), "again"));
      expect(readFileSync(at("both/moved"), "utf8")).toBe("upper");
      await actor.stop();
      expect((await mount.stop()).code).toBe(0);
    });
  });

describe("a lower layer that others change, under a rule", () => {
  test("is judged by current paths, also through an older descriptor", async () => {
    const policy = policyOf("grant", { name: "no", path: "d/sub/**", effect: "deny" });
    const { mount, actor, lower, at } = await staged(policy);
    const before = await actor.do("open", at("d/sub/b"), O.PATH);
    const f = await actor.do("open", at("f"), O.PATH);
    expect(await actor.do("open", `/proc/self/fd/${before}`, O.RDONLY)).toBe(-Errno.EACCES);
    // The denied file lies under another name now, and an allowed one in its directory's place.
    renameSync(join(lower, "d/sub/b"), join(lower, "b"));
    renameSync(join(lower, "d"), join(lower, "e"));
    renameSync(join(lower, "f"), join(lower, "f-old"));
    await eventually("the new name", SOON_MS, reads(at("b"), "b"));
    await eventually("the directory is gone", SOON_MS, () => statSync(at("d"), { throwIfNoEntry: false }) === undefined);
    await eventually("the file is gone", SOON_MS, () => statSync(at("f"), { throwIfNoEntry: false }) === undefined);
    for (const fd of [before, f]) expect(await actor.do("open", `/proc/self/fd/${fd}`, O.RDONLY)).toBe(-Errno.ESTALE);
    await actor.stop();
    expect((await mount.stop()).code).toBe(0);
  });
});

test("frees a file that lost its name after its last close", async () => {
  const { mount, actor, at, replace } = await staged(undefined, ["--shared-lower", "-o", "timeout=0"]);
  const before = (await statusOf(mount)).overlay.nodes;
  for (let round = 0; round < 50; round++) {
    replace("f", `round ${round}`);
    const fd = await actor.do("open", at("f"), O.RDONLY);
    replace("f", "other");
    expect(readFileSync(at("f"), "utf8")).toBe("other");
    expect(await actor.do("read", fd, 32, 0)).toBe(`round ${round}`);
    expect(await actor.do("close", fd)).toBe(0);
  }
  await eventually("the nodes are freed", SOON_MS, async () => {
    // Again and again: another process that makes the kernel forget names has some in use meanwhile.
    writeFileSync("/proc/sys/vm/drop_caches", "2");
    return (await statusOf(mount)).overlay.nodes <= before + 2;
  });
  await actor.stop();
  expect((await mount.stop()).code).toBe(0);
});
