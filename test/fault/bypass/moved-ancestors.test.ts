/** An operation waits for its ruling while a directory above its name is renamed: it is judged by the new name. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { Errno, RENAME } from "@sluice/vfs";
import { Actor, directory, publicFile, requires, type Tree } from "@sluice/testkit";
import { beforeAll, expect } from "vitest";
import { ATTACKER, ownedLayers, setStage, type Stage } from "./harness/stage.js";
import { SlowDecision } from "./harness/slow-decision.js";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const S_IFIFO = 0o010000;
/** O_WRONLY | O_CREAT | O_EXCL */
const CREATE = 0o301;

const POLICY = `version: 1
default: grant
rules:
  - { name: config, path: "**/.git/config", access: [read, write], effect: deny, ttl: 0ms }
  - { name: hooks, path: "**/.git/hooks/*", access: [create], effect: deny, ttl: 0ms }
  - { name: locked, path: "**/locked/**", access: [delete, truncate, metadata], effect: deny, ttl: 0ms }
  - name: others
    path: "**"
    access: [read, write, execute, create, link, rename, truncate, delete, metadata]
    effect: grant
    ttl: 0ms
`;

/** Each race has a directory of its own. */
const tree = (): Tree => ({
  ".git/config": publicFile("secret"),
  ".git/new-hooks/": directory(),
  "x/.git/": directory(),
  "y/hook": publicFile("#!/bin/sh\n"),
  "z/free/f": publicFile("locked later"),
  "z/free/empty/": directory(),
});

type Act = (actor: Actor, at: (name: string) => string) => Promise<number>;

interface Race {
  /** The path of the question that is held back. */
  waitsFor: string;
  act: Act;
  /** Renamed while the question is held back. */
  moved: readonly [from: string, to: string];
}

const RACES = 16;
let stage: Stage;
let decision: SlowDecision;
let other: Actor;
let races = 0;

/** The result of the operation after the rename. */
async function race({ waitsFor, act, moved }: Race): Promise<{ result: number; at: (name: string) => string; upper: string }> {
  const here = String(races++);
  const at = (name: string): string => stage.at(`${here}/${name}`);
  const { held } = decision.hold(new RegExp(`^${here}/${waitsFor.replaceAll(".", "\\.")}$`));
  const result = act(stage.actor, at);
  await held;
  expect(await other.do("rename", at(moved[0]), at(moved[1]))).toBe(0);
  decision.release();
  return { result: await result, at, upper: join(stage.upper, here) };
}

describe("while an operation waits, a directory above it is renamed:", () => {
  beforeAll(async () => {
    decision = await SlowDecision.start({ policy: POLICY });
    const trees = Array.from({ length: RACES }, (_, race) => Object.entries(tree()).map(([name, planted]) => [`${race}/${name}`, planted]));
    const made = ownedLayers(Object.fromEntries(trees.flat()) as Tree);
    stage = await setStage(made, { args: ["--decision", decision.target, "--decision-timeout", "20s"] });
    other = await Actor.start(ATTACKER + 1);
  });

  describe("no name that grants reading is given to a file that may not be read:", () => {
    for (const operation of ["rename", "link"] as const)
      test(operation, async () => {
        const act: Act = (actor, at) => actor.do(operation, at(".git/config"), at("x/.git/config"));
        const { result, at } = await race({ waitsFor: "x/.git/config", act, moved: ["x/.git", "x/plain"] });
        expect(await stage.actor.do("stat", at("x/plain/config"))).toBe(-Errno.ENOENT);
        expect(result).toBeLessThan(0);
        expect(await stage.actor.do("stat", at(".git/config"))).toMatchObject({ size: "6", nlink: 1 });
      });
  });

  describe("nothing is created at a path that denies creation by then:", () => {
    const made = ".git/new-hooks/pre-commit";
    const ways: Record<string, Act> = {
      create: (actor, at) => actor.do("open", at(made), CREATE, 0o755),
      mkdir: (actor, at) => actor.do("mkdir", at(made)),
      mknod: (actor, at) => actor.do("mknod", at(made), S_IFIFO | 0o644),
      symlink: (actor, at) => actor.do("symlink", "../../y/hook", at(made)),
      link: (actor, at) => actor.do("link", at("y/hook"), at(made)),
      rename: (actor, at) => actor.do("rename", at("y/hook"), at(made)),
    };
    for (const [name, act] of Object.entries(ways))
      test(name, async () => {
        const { result, at, upper } = await race({ waitsFor: made, act, moved: [".git/new-hooks", ".git/hooks"] });
        expect(await stage.actor.do("readdir", at(".git/hooks"))).toEqual([]);
        expect(readdirSync(join(upper, ".git/hooks"))).toEqual([]);
        expect(result).toBeLessThan(0);
        expect(await stage.actor.do("contents", at("y/hook"))).toBe("#!/bin/sh\n");
      });
  });

  describe("nothing is changed or removed at a path that denies it by then:", () => {
    const file = "z/free/f";
    const ways: Record<string, [path: string, act: Act]> = {
      unlink: [file, (actor, at) => actor.do("unlink", at(file))],
      rmdir: ["z/free/empty", (actor, at) => actor.do("rmdir", at("z/free/empty"))],
      "rename over it": ["y/hook", (actor, at) => actor.do("rename", at("y/hook"), at(file))],
      exchange: ["y/hook", (actor, at) => actor.do("rename", at("y/hook"), at(file), RENAME.EXCHANGE)],
      truncate: [file, (actor, at) => actor.do("syscall", "truncate", at(file), 0)],
      chmod: [file, (actor, at) => actor.do("chmod", at(file), 0o600)],
      utimes: [file, (actor, at) => actor.do("utimes", at(file), 1)],
      setxattr: [file, (actor, at) => actor.do("setxattr", at(file), "user.a", "b")],
    };
    for (const [name, [path, act]] of Object.entries(ways))
      test(name, async () => {
        const { result, at } = await race({ waitsFor: path, act, moved: ["z/free", "z/locked"] });
        expect(result).toBeLessThan(0);
        expect(await stage.actor.do("contents", at("z/locked/f"))).toBe("locked later");
        expect(await stage.actor.do("stat", at("z/locked/f"))).toMatchObject({ mode: 0o100666 });
        expect(await stage.actor.do("getxattr", at("z/locked/f"), "user.a")).toBe(-Errno.ENODATA);
        expect(await stage.actor.do("readdir", at("z/locked"))).toEqual(["empty", "f"]);
      });
  });
});
