/** Long sequences of calls, drawn by a seed: combinations of states that nobody thought of. */
import { seededRandom } from "@sluice/testkit/random";
import { O, RENAME } from "@sluice/vfs";
import type { Probe } from "../probe/probe.js";
import { dir, opaque, symlink, type Tree, whiteout } from "../tree/tree.js";
import type { Case } from "./case.js";

const STEPS = 250;

const NAMES = ["a", "b", "c", "d"];

function draw(pick: (below: number) => number): string {
  const depth = 1 + pick(3);
  return Array.from({ length: depth }, () => NAMES[pick(NAMES.length)]).join("/");
}

type Call = (t: Probe, path: string, draw: () => string) => void;

function overwrite(t: Probe, path: string): void {
  const fd = t.open(path, O.RDWR);
  t.pwrite(fd, "written", 3);
  t.fstat(fd);
  t.close(fd);
}

/** A descriptor that outlives its name. */
function writeUnlinked(t: Probe, path: string): void {
  const fd = t.open(path, O.RDWR);
  t.unlink(path);
  t.pwrite(fd, "late", 0);
  t.fstat(fd);
  t.close(fd);
}

const CALLS: readonly Call[] = [
  (t, path) => t.create(path, `made ${path}`),
  (t, path) => t.mkdir(path),
  (t, path) => t.unlink(path),
  (t, path) => t.rmdir(path),
  (t, path, other) => t.rename(path, other()),
  (t, path, other) => t.rename(path, other()),
  (t, path, other) => t.rename(path, other()),
  (t, path, other) => t.rename(path, other(), RENAME.EXCHANGE),
  (t, path, other) => t.rename(path, other(), RENAME.NOREPLACE),
  (t, path, other) => t.link(path, other()),
  (t, path) => t.symlink("target", path),
  (t, path) => t.chmod(path, 0o700),
  (t, path) => t.setxattr(path, "user.walk", path),
  (t, path) => t.utimes(path, 950_000_000, 3),
  (t, path) => t.list(path),
  (t, path) => t.stat(path),
  (t, path) => t.read(path),
  overwrite,
  writeUnlinked,
  (t, path) => t.close(t.open(path, O.WRONLY | O.TRUNC)),
  (t, path) => t.close(t.open(path, O.WRONLY | O.CREAT | O.APPEND)),
];

const deep = (text: string): Tree => ({
  a: text,
  b: dir({ a: text, c: dir({ d: text }) }),
  c: symlink("a"),
  d: dir({ d: dir({}), a: text }),
});

function walk(seed: number): Case {
  return {
    name: `random walk ${seed}`,
    // A refused rename leaves copies in the kernel's upper layer, which are not visible in the merged tree.
    seenOnly: true,
    lower: { a: dir(deep("lower")), b: dir(deep("lower")), c: dir(deep("lower")), d: "lower" },
    top: { a: dir({ b: dir({ b: "top" }), d: whiteout() }), b: opaque(deep("top")) },
    upper: { a: dir({ b: dir({ a: whiteout(), d: "upper" }) }), c: dir({ b: opaque({ a: "upper" }), a: whiteout() }) },
    run(t) {
      const pick = seededRandom(seed).below;
      for (let step = 0; step < STEPS; step++) (CALLS[pick(CALLS.length)] as Call)(t, draw(pick), () => draw(pick));
    },
  };
}

export const randomWalkCases: readonly Case[] = Array.from({ length: 16 }, (_, seed) => walk(seed + 1));
