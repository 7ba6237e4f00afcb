/** An operation waits for a copy-up, and meanwhile the policy or a name changes: it is judged again before it takes effect. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Errno, O } from "@sluice/vfs";
import { Actor, directory, eventually, type Grant, grantsOf, publicFile, requires, statusOf, type Tree } from "@sluice/testkit";
import { beforeAll, expect } from "vitest";
import { holdReads } from "./harness/held-reads.js";
import { ATTACKER, ownedLayers, setStage, type Stage } from "./harness/stage.js";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command cc");
/** More than a copy-up copies without waiting. */
const LARGE = Buffer.alloc(4 << 20, "large");
const AMPLE_MS = 60_000;

/** The directories in which the policy was edited so far: each test has one of its own. */
const edits: string[] = [];
let stage: Stage;

const policyOf = (rules: readonly string[]): string => `version: 1
default: grant
rules:
  - { name: config, path: "**/.git/config", access: [read], effect: deny }
${rules.map((rule) => `  - { ${rule} }\n`).join("")}`;

/** Adds a rule, and waits until it is in force in the mount. */
async function edit(rule: string): Promise<void> {
  const { mount } = stage;
  const digest = async (): Promise<string | undefined> => (await statusOf(mount)).policy?.revision.digest;
  const before = await digest();
  edits.push(rule);
  writeFileSync(mount.policyFile as string, policyOf(edits));
  await eventually("the edit is in force", AMPLE_MS, async () => (await digest()) !== before);
}

type Act = (actor: Actor, at: (name: string) => string) => Promise<number>;

/** The result of an operation whose copy-up stops until `meanwhile` is done. */
async function copyUpStopped(here: string, run: { file: string; act: Act; meanwhile: () => Promise<unknown> }): Promise<number> {
  const { held, release } = await holdReads(join(stage.lower, here, run.file));
  const result = run.act(stage.actor, (name) => stage.at(`${here}/${name}`));
  await held;
  await run.meanwhile();
  release();
  return result;
}

const WAYS: Record<string, Act> = {
  "an open for writing": (actor, at) => actor.do("open", at("large"), O.RDWR),
  "a truncation": (actor, at) => actor.do("syscall", "truncate", at("large"), LARGE.length - 1),
  "a change of mode": (actor, at) => actor.do("chmod", at("large"), 0o600),
  "a new attribute": (actor, at) => actor.do("setxattr", at("large"), "user.a", "b"),
  "a rename": (actor, at) => actor.do("rename", at("large"), at("x/other")),
  "a link": (actor, at) => actor.do("link", at("large"), at("x/other")),
};

describe("while an operation waits for its copy-up,", () => {
  beforeAll(async () => {
    const names = [...Object.keys(WAYS), "mediated"];
    const trees = names.map((name): Tree => ({ [`${name}/large`]: publicFile(LARGE), [`${name}/x/`]: directory() }));
    const made = ownedLayers({
      ...Object.assign({}, ...trees),
      "moved/.git/config": publicFile(LARGE),
      "moved/x/.git/": directory(),
    } as Tree);
    stage = await setStage(made, { policy: policyOf([]) });
  });

  for (const [here, act] of Object.entries(WAYS))
    test(`${here} is refused if a new rule denies it`, async () => {
      const rule = `name: ${here}, path: "${here}/large", access: [write, truncate, metadata, rename, link], effect: deny`;
      const result = await copyUpStopped(here, { file: "large", act, meanwhile: () => edit(rule) });
      const { actor, at, mount } = stage;
      expect(result).toBe(-Errno.EACCES);
      expect((await grantsOf(mount)).filter(({ path }) => path === `${here}/large`)).toEqual([]);
      expect(await actor.do("stat", at(`${here}/large`))).toMatchObject({ size: String(LARGE.length), mode: 0o100666, nlink: 1 });
      expect(await actor.do("getxattr", at(`${here}/large`), "user.a")).toBe(-Errno.ENODATA);
      expect(await actor.do("readdir", at(`${here}/x`))).toEqual([]);
    });

  test("an open is mediated if a new rule mediates it", async () => {
    const act = WAYS["an open for writing"] as Act;
    const meanwhile = (): Promise<void> => edit('name: mediated, path: "mediated/large", effect: mediate');
    expect(await copyUpStopped("mediated", { file: "large", act, meanwhile })).toBeGreaterThan(0);
    const grants = (await stage.mount.grants()) as (Grant & { revoked: unknown })[];
    expect(grants.find(({ path }) => path === "mediated/large")).toMatchObject({ mode: "mediated", revoked: null });
  });

  test("a rename is judged by the new name of its target", async () => {
    const other = await Actor.start(ATTACKER);
    const act: Act = (actor, at) => actor.do("rename", at(".git/config"), at("x/.git/config"));
    const meanwhile = async (): Promise<void> => {
      expect(await other.do("rename", stage.at("moved/x/.git"), stage.at("moved/x/plain"))).toBe(0);
    };
    expect(await copyUpStopped("moved", { file: ".git/config", act, meanwhile })).toBeLessThan(0);
    expect(await stage.actor.do("stat", stage.at("moved/x/plain/config"))).toBe(-Errno.ENOENT);
  });
});
