/** Random work on a mount and on a plain directory, with the upper layer of the mount frozen in between: both always show the same. */
import { execFileSync } from "node:child_process";
import { dirname, join } from "node:path";
import {
  Actor,
  diffSnapshots,
  directory,
  drawnCases,
  hardLink,
  policyOf,
  publicFile,
  requires,
  scratch,
  type Snapshot,
  snapshot,
  symlink,
  type Tree,
} from "@sluice/testkit";
import { type Random, seededRandom } from "@sluice/testkit/random";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";
import { chooseSeed } from "../../fault/exercisers/policies.js";
import { RestackedMount } from "../harness/restacked-mount.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const LIMIT_MS = 240_000;
const TREE: Tree = {
  "a/one": publicFile("one"),
  "a/two": publicFile("two"),
  "a/deep/three": publicFile("three"),
  "b/four": publicFile("four"),
  "b/link": symlink("four"),
  "c/names/first": publicFile("several names"),
  "c/names/second": hardLink("c/names/first"),
  d: directory(),
  top: publicFile("top"),
};
const DIRECTORIES = ["", "a", "a/deep", "b", "c", "c/names", "d", "e", "e/f"];
const NAMES = ["one", "two", "three", "four", "five", "first", "second", "deep", "f", "names", "sub"];
const EXCHANGE = 2;

/** Works on the paths of one side. Its result is compared. */
type Step = (actor: Actor, at: (path: string) => string) => Promise<unknown>;

async function withFile(actor: Actor, [path, flags]: [string, number], use: (fd: number) => Promise<unknown>): Promise<unknown> {
  const fd = (await actor.do("open", path, flags)) as number;
  if (fd < 0) return fd;
  const result = await use(fd);
  await actor.do("close", fd);
  return result;
}

function draw(random: Random, links: boolean): Step {
  const place = (): string => join(random.of(DIRECTORIES), random.of(NAMES));
  const [path, other] = [place(), place()];
  const [from, to] = [random.of(DIRECTORIES.slice(1)), random.of(DIRECTORIES.slice(1))];
  const content = "x".repeat(random.below(64)) + random.below(1000);
  const position = random.below(40);
  const mode = random.of([0o600, 0o644, 0o755, 0o640]);
  const steps: [number, Step][] = [
    [10, (actor, at) => withFile(actor, [at(path), O.WRONLY | O.CREAT], (fd) => actor.do("write", fd, content, position))],
    [6, (actor, at) => withFile(actor, [at(path), O.RDWR | O.APPEND], (fd) => actor.do("append", fd, content))],
    [4, (actor, at) => withFile(actor, [at(path), O.WRONLY | O.TRUNC], (fd) => actor.do("write", fd, content, 0))],
    [3, (actor, at) => withFile(actor, [at(path), O.RDWR], (fd) => actor.do("ftruncate", fd, position))],
    [4, (actor, at) => actor.do("chmod", at(path), mode)],
    [2, (actor, at) => actor.do("utimes", at(path), 1_000_000 + position)],
    [3, (actor, at) => actor.do("setxattr", at(path), "user.test", content)],
    [6, (actor, at) => actor.do("mkdir", at(path))],
    [6, (actor, at) => actor.do("unlink", at(path))],
    [4, (actor, at) => actor.do("rmdir", at(path))],
    [10, (actor, at) => actor.do("rename", at(path), at(other))],
    [6, (actor, at) => actor.do("rename", at(from), at(to))],
    [3, (actor, at) => actor.do("rename", at(path), at(other), EXCHANGE)],
    [2, (actor, at) => actor.do("symlink", other, at(path))],
    [3, (actor, at) => actor.do("readdir", at(dirname(path)))],
    [6, (actor, at) => actor.do("contents", at(path))],
  ];
  if (links) steps.push([6, (actor, at) => actor.do("link", at(path), at(other))]);
  else steps.push([6, (actor, at) => renameByLink(actor, at(path), at(other))]);
  return random.weighted(steps);
}

/** As git gives a new object its name. */
async function renameByLink(actor: Actor, from: string, to: string): Promise<unknown> {
  const linked = await actor.do("link", from, to);
  return linked === 0 ? actor.do("unlink", from) : linked;
}

/** Files that stay open for reading, on both sides. */
class HeldFiles {
  readonly #held: { onMount: number; onModel: number }[] = [];

  constructor(
    private readonly actor: Actor,
    private readonly random: Random,
  ) {}

  /** A few others than before. */
  async change(places: Record<"onMount" | "onModel", (path: string) => string>): Promise<void> {
    while (this.#held.length > 4) {
      const [gone] = this.#held.splice(this.random.below(this.#held.length), 1);
      for (const fd of Object.values(gone ?? {})) await this.actor.do("close", fd);
    }
    for (const path of ["top", ...[1, 2, 3].map(() => join(this.random.of(DIRECTORIES), this.random.of(NAMES)))]) {
      const onMount = (await this.actor.do("open", places.onMount(path), O.RDONLY)) as number;
      if (onMount >= 0) this.#held.push({ onMount, onModel: (await this.actor.do("open", places.onModel(path), O.RDONLY)) as number });
    }
  }

  async expectSame(): Promise<void> {
    for (const { onMount, onModel } of this.#held)
      expect(await this.actor.do("read", onMount, 4096, 0)).toEqual(await this.actor.do("read", onModel, 4096, 0));
  }
}

/** Whatever a directory and a view of it have in common. Times are of two moments. */
function shown(path: string): Snapshot {
  return new Map(
    [...snapshot(path, { hardLinks: true })].map(([name, entry]) => [
      name,
      { ...entry, mtimeNs: 0n, ...(entry.type === "directory" ? { links: 0 } : {}) },
    ]),
  );
}

/** More than other tests spoil that make the kernel forget names all the time. */
const LOOKS = 20;

/** Looks again if they differ: a file that the kernel forgets during a look may have another inode number afterwards, as in overlayfs. */
function differences(view: string, model: string): string[] {
  let found = diffSnapshots(shown(view), shown(model));
  for (let looks = 1; looks < LOOKS && found.length > 0; looks++) found = diffSnapshots(shown(view), shown(model));
  return found;
}

const KINDS = {
  "by passthrough": { policy: policyOf("grant"), links: true, args: [] },
  mediated: { policy: policyOf("mediate"), links: true, args: [] },
  "by passthrough, with a lower layer that others may change": { policy: policyOf("grant"), links: true, args: ["--shared-lower"] },
  "mediated, with marks in user attributes and no index": {
    policy: policyOf("mediate"),
    links: false,
    args: ["--shared-lower", "-o", "userxattr"],
  },
};

/**
 * `npm test` does the work of one of them on half of the kinds of mounts, drawn by SLUICE_SEED: one that passes through, and one that
 * mediates. `npm run test:soak restacked` does that of both on each kind.
 */
const SEEDS = [1, 3];
const drawing = chooseSeed();
const kinds = Object.entries(KINDS);
const drawn = ["grant", "mediate"].flatMap((effect, index) => {
  const alike = kinds.filter(([, { policy }]) => policy.includes(effect));
  return drawnCases(alike, 1, drawing + index);
});

for (const [index, [kind, { policy, links, args }]] of drawn.entries())
  for (const seed of drawnCases(SEEDS, 1, drawing + 2 + index))
    test(
      `random work ${kind}, seed ${seed}`,
      async () => {
        const { "c/names/second": _, ...single } = TREE;
        const stack = await RestackedMount.start({ lower: links ? TREE : single, policy, args });
        const model = join(scratch(), "model");
        execFileSync("cp", ["-a", stack.lowers[0] as string, model]);
        const actor = await Actor.start();
        const random = seededRandom(seed);
        const places = { onMount: (path: string) => stack.path(path), onModel: (path: string) => join(model, path) };
        const held = new HeldFiles(actor, random);
        let restacked = 0;
        for (let round = 0; round < 12; round++) {
          for (let count = 0; count < 60; count++) {
            const step = draw(random, links);
            const onMount = await step(actor, places.onMount);
            // In user attributes, overlayfs has no redirect by which a directory can be renamed.
            if (links || onMount !== -Errno.EXDEV) expect(onMount).toEqual(await step(actor, places.onModel));
          }
          await held.change(places);
          const answer = await stack.restack();
          if (answer === "yes") restacked++;
          else expect(answer).toMatch(/^unfit: (a file has names in a lower layer|a reader shares)/);
          // Readers that pass through keep the file that they opened.
          if (policy.includes("mediate")) await held.expectSame();
          expect(differences(stack.mount.mountpoint, model), `after round ${round}`).toEqual([]);
        }
        expect(restacked).toBeGreaterThan(3);
        stack.expectUnchanged();
        await stack.mount.kill();
        stack.mount.discardMount();
        await stack.start();
        expect(differences(stack.mount.mountpoint, model)).toEqual([]);
        stack.expectUnchanged();
      },
      LIMIT_MS,
    );
