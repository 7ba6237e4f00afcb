// An apply of a part changes the directory, and nothing that the session shows. Neither does the undo.
import { appendFileSync, chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import {
  diffSnapshots,
  directory,
  file,
  mountKernelOverlay,
  plant,
  requires,
  type Snapshot,
  snapshot,
  unmountKernelOverlay,
  whiteout,
} from "@sluice/testkit";
import { type Random, seededRandom } from "@sluice/testkit/random";
import { expect } from "vitest";
import { type PlantedSession, plantSession } from "../testing/plant-session.js";
import { reviewed } from "../testing/apply-planted.js";
import { reviewPlace } from "../review-session.js";
import { undoApply } from "./undo.js";

const { test } = requires("CAP_SYS_ADMIN", "kernel overlayfs");
const ROUNDS = 15;
const STEPS = 25;
const OPTIONS = "redirect_dir=on,index=off,metacopy=off";
const NAMES = ["a", "b", "c", "d", "e", "f.txt", "g.txt"];

/** Without times: a file that got the same bytes again is no change. */
function treeOf(path: string): Snapshot {
  const all = snapshot(path, { ignoreXattrs: /^trusted\.overlay\./ });
  return new Map([...all].map(([name, entry]) => [name, { ...entry, mtimeNs: 0n }]));
}

/** The tree that the session shows. */
function shownBy({ upper, base }: PlantedSession): Snapshot {
  const view = mountKernelOverlay({ lowers: [upper, base], options: OPTIONS });
  const shown = treeOf(view);
  unmountKernelOverlay(view);
  return shown;
}

test("a file of a new directory stays in the session, which hides that of the directory", async () => {
  const session = await plantSession({}, { "new/": directory({ opaque: true }), "new/f": file("f"), "new/rest": file("rest") });
  const shown = shownBy(session);
  await reviewed(session).apply(["new/f"]);
  expect(readFileSync(join(session.base, "new/f"), "utf8")).toBe("f");
  expect(diffSnapshots(shownBy(session), shown)).toEqual([]);
  expect(reviewed(session).all.map(({ path }) => path)).toEqual(["new/rest"]);
  await reviewed(session).apply();
  expect(readdirSync(join(session.base, "new")).sort()).toEqual(["f", "rest"]);
});

test("a file of a replaced directory stays in the session, which shows the new one", async () => {
  const session = await plantSession(
    { "replaced/f": file("old"), "replaced/gone": file("gone") },
    { "replaced/": directory({ opaque: true }), "replaced/f": file("new") },
  );
  const shown = shownBy(session);
  await reviewed(session).apply(["replaced/f"]);
  expect(readFileSync(join(session.base, "replaced/f"), "utf8")).toBe("new");
  expect(diffSnapshots(shownBy(session), shown)).toEqual([]);
  expect(reviewed(session).all.map(({ path }) => path)).toEqual(["replaced/gone"]);
  expect(undoApply(session.place)).toMatchObject({ done: true, newer: [] });
  expect(readFileSync(join(session.base, "replaced/f"), "utf8")).toBe("old");
  expect(diffSnapshots(shownBy(session), shown)).toEqual([]);
});

test("objects that any earlier apply made are no conflicts if the session moves their directory", async () => {
  const session = await plantSession(
    {},
    { "d/e/": directory({ mtimeNs: 1_000_000_000n }), "d/e/f": file("f"), "d/g": file("g"), n: file("n"), m: file("m") },
  );
  await reviewed(session).apply(["d"]);
  plant(session.upper, { d: whiteout(), "moved/": directory({ xattrs: { "trusted.overlay.redirect": "/d" } }) });
  expect(reviewed(session).conflicts).toEqual([]);
  for (const path of ["n", "m"]) await reviewed(session).apply([path]);
  expect(reviewed(session).conflicts).toEqual([]);
  writeFileSync(join(session.base, "d/e/f"), "somebody else's");
  expect(reviewed(session).conflicts).toEqual(["d/e/f"]);
});

test("a session that changes the replaced files of an apply changes nothing in them, and the apply can be undone", async () => {
  const session = await plantSession(
    { f: file("old"), g: file("old") },
    { f: file("new"), g: file("new") },
    { base: "disk", session: "tmpfs" },
  );
  await reviewed(session).apply(["f"]);
  const [slots = ""] = readdirSync(session.base).filter((name) => name.startsWith(".sluice-apply-"));
  plant(session.upper, { [`${slots}/0`]: file("forged"), [`${slots}/1`]: file("new"), ".sluice-apply-own/h": file("h") });
  expect(reviewPlace(session.place).all.list.map(({ path }) => path)).toEqual([".sluice-apply-own", ".sluice-apply-own/h", "g"]);
  expect(readFileSync(join(session.base, slots, "0"), "utf8")).toBe("old");
  expect(undoApply(session.place)).toMatchObject({ done: true });
  expect(readFileSync(join(session.base, "f"), "utf8")).toBe("old");
});

/** The paths of a tree, without its root. */
function pathsOf(root: string): { directories: string[]; others: string[] } {
  const found = { directories: [root], others: [] as string[] };
  for (let at = 0; at < found.directories.length; at++) {
    const here = found.directories[at] as string;
    for (const entry of readdirSync(here, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1)))
      found[entry.isDirectory() ? "directories" : "others"].push(join(here, entry.name));
  }
  return found;
}

/** A change of a random kind somewhere in the tree. @throws an error of the file system, if the kind does not suit the place */
function change(root: string, { of, weighted, below }: Random): void {
  const { directories, others } = pathsOf(root);
  const name = (): string => join(of(directories), of(NAMES));
  const some = (): string => of(below(3) === 0 ? directories.slice(1) : others);
  weighted<() => void>([
    [4, () => writeFileSync(name(), `text ${below(1000)}`)],
    [2, () => appendFileSync(of(others), "more")],
    [3, () => mkdirSync(name())],
    [3, () => rmSync(some(), { recursive: true })],
    [5, () => renameSync(some(), name())],
    [1, () => symlinkSync(of(NAMES), name())],
    [1, () => chmodSync(some(), of([0o600, 0o755, 0o644]))],
    [
      2,
      () => {
        const path = some();
        rmSync(path, { recursive: true });
        if (below(2) === 0) writeFileSync(path, "in its place");
        else mkdirSync(path);
      },
    ],
  ])();
}

function changeOften(root: string, random: Random): void {
  for (let step = 0; step < STEPS; step++) {
    try {
      change(root, random);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).errno === undefined && !(error instanceof TypeError)) throw error;
    }
  }
}

async function randomSession(random: Random): Promise<PlantedSession> {
  const session = await plantSession({}, {});
  changeOften(session.base, random);
  const work = join(dirname(session.upper), "work");
  mkdirSync(work);
  const view = mountKernelOverlay({ lowers: [session.base], upper: session.upper, work, options: OPTIONS });
  changeOften(view, random);
  unmountKernelOverlay(view);
  return session;
}

/** Applies a random part, if there is one that can be applied by itself. */
async function appliesPart(session: PlantedSession, { once }: Random): Promise<boolean> {
  const review = reviewed(session);
  const words = review.all.filter(() => once(2)).map(({ path }) => path);
  if (words.length === 0) return false;
  const before = treeOf(session.base);
  try {
    await review.apply(words);
    return true;
  } catch (error) {
    expect((error as Error).message).toMatch(/can only be applied as a whole|cannot be applied without/);
    expect(diffSnapshots(treeOf(session.base), before)).toEqual([]);
    return false;
  }
}

test("random parts of random sessions change nothing that the session shows, and the whole changes the directory into it", async () => {
  let applied = 0;
  for (let seed = 1; seed <= ROUNDS; seed++) {
    const random = seededRandom(seed);
    const session = await randomSession(random);
    const [shown, before] = [shownBy(session), treeOf(session.base)];
    if (await appliesPart(session, random)) {
      applied++;
      expect(diffSnapshots(shownBy(session), shown), `seed ${seed}`).toEqual([]);
      if (random.once(2)) {
        expect(undoApply(session.place), `seed ${seed}`).toMatchObject({ done: true, newer: [] });
        expect(diffSnapshots(treeOf(session.base), before), `seed ${seed}`).toEqual([]);
        expect(diffSnapshots(shownBy(session), shown), `seed ${seed}`).toEqual([]);
      }
    }
    await reviewed(session).apply();
    expect(diffSnapshots(treeOf(session.base), shown), `seed ${seed}`).toEqual([]);
    expect(reviewed(session).all, `seed ${seed}`).toEqual([]);
  }
  expect(applied).toBeGreaterThan(ROUNDS / 4);
}, 120_000);
