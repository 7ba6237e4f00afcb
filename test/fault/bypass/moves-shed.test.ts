/** A move or a link never removes a rule's effect on a file: no denial of any access, and no obligation. */
import { Errno, RENAME } from "@sluice/vfs";
import { type Actor, policyOf, publicFile, requires, type Tree } from "@sluice/testkit";
import { beforeAll, expect } from "vitest";
import { ownedLayers, setStage, type Stage } from "./harness/stage.js";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const DENIED = -Errno.EACCES;

const obliged = (obligations: string): string => `access: [read, write], effect: mediate, obligations: { ${obligations} }`;

/** Each directory's rule for the files below it. */
const RULES = {
  truncate: "access: [truncate], effect: deny",
  delete: "access: [delete], effect: deny",
  metadata: "access: [metadata], effect: deny",
  link: "access: [link], effect: deny",
  rate: obliged("readBytesPerSecond: 1000"),
  "write-rate": obliged("writeBytesPerSecond: 1000"),
  audit: obliged("audit: each-io"),
  size: obliged("maxSizeBytes: 100"),
  expiry: obliged("expiresAfter: 30s"),
  "read-only": obliged("readOnly: true"),
};
/** Obligations of one kind, stricter or laxer than another directory's. */
const DEGREES = {
  slow: obliged("readBytesPerSecond: 1000"),
  slower: obliged("readBytesPerSecond: 500"),
  faster: obliged("readBytesPerSecond: 2000"),
};

/** Each directory's rule applies at any depth, so that directories can be moved with their contents. */
const POLICY = [
  "version: 1",
  "default: mediate",
  "rules:",
  ...Object.entries({ ...RULES, ...DEGREES }).map(([name, says]) => `  - { name: ${name}, path: "**/${name}/*", ${says} }`),
].join("\n");

const tree = (name: string): Tree => ({
  [`${name}/f`]: publicFile("content"),
  [`${name}/g`]: publicFile("content"),
  [`in-${name}/${name}/f`]: publicFile("content"),
  [`public-${name}/p`]: publicFile("public"),
});

describe("a file with a strict rule stays under it:", () => {
  let stage: Stage;
  const at = (name: string): string => stage.at(name);
  const rename = (from: string, to: string, flags = 0): Promise<number> => stage.actor.do("rename", at(from), at(to), flags);
  beforeAll(async () => {
    const trees = Object.keys({ ...RULES, ...DEGREES }).map(tree);
    stage = await setStage(ownedLayers(Object.assign({}, ...trees) as Tree), { policy: `${POLICY}\n` });
  });

  for (const name of Object.keys(RULES))
    test(name, async () => {
      const attempts: [string, number][] = [
        ["move out", await rename(`${name}/f`, `public-${name}/f`)],
        ["move its directory", await rename(`in-${name}/${name}`, `in-${name}/free`)],
        ["exchange", await rename(`${name}/f`, `public-${name}/p`, RENAME.EXCHANGE)],
        ["exchange, the other way round", await rename(`public-${name}/p`, `${name}/f`, RENAME.EXCHANGE)],
      ];
      expect(attempts).toEqual(attempts.map(([what]) => [what, DENIED]));
      expect(await stage.actor.do("link", at(`${name}/f`), at(`public-${name}/l`))).toBe(DENIED);
    });

  test("a governed file moves within its directory, and below it", async () => {
    expect(await rename("metadata/g", "metadata/h")).toBe(0);
    expect(await rename("rate/g", "rate/h")).toBe(0);
    expect(await rename("public-rate/p", "rate/p")).toBe(0);
    expect(await rename("public-delete/p", "delete/p")).toBe(0);
  });

  test("a file moves to an obligation of its kind that is as strict or stricter, and to no laxer one", async () => {
    expect(await rename("slow/f", "slower/f-of-slow")).toBe(0);
    expect(await rename("slow/g", "faster/g-of-slow")).toBe(DENIED);
    expect(await rename("slow/g", "audit/g-of-slow")).toBe(DENIED);
  });
});

describe("no detour leads round a denial:", () => {
  const LOGS = policyOf("grant", { name: "logs", path: "*/logs/**", access: ["truncate", "delete", "metadata"], effect: "deny" });
  type Detour = (actor: Actor, at: (name: string) => string) => Promise<unknown>;
  const detours: Record<string, Detour> = {
    "a change of mode, by a move there and back": async (actor, at) => {
      await actor.do("rename", at("logs/today"), at("elsewhere"));
      await actor.do("chmod", at("elsewhere"), 0o777);
      await actor.do("rename", at("elsewhere"), at("logs/today"));
    },
    "a truncation, by a move there and back": async (actor, at) => {
      await actor.do("rename", at("logs/today"), at("elsewhere"));
      await actor.do("syscall", "truncate", at("elsewhere"), 0);
      await actor.do("rename", at("elsewhere"), at("logs/today"));
    },
    "a removal, by a move": async (actor, at) => {
      await actor.do("rename", at("logs/today"), at("elsewhere"));
      await actor.do("unlink", at("elsewhere"));
    },
    "a removal, by an exchange": async (actor, at) => {
      await actor.do("rename", at("logs/today"), at("bait"), RENAME.EXCHANGE);
      await actor.do("unlink", at("bait"));
    },
    "a removal, by a move of the directory": async (actor, at) => {
      await actor.do("rename", at("logs"), at("old"));
      await actor.do("unlink", at("old/today"));
    },
  };
  let stage: Stage;
  beforeAll(async () => {
    const trees = Object.keys(detours).map(
      (name): Tree => ({ [`${name}/logs/today`]: publicFile("a line\n"), [`${name}/bait`]: publicFile("bait") }),
    );
    stage = await setStage(ownedLayers(Object.assign({}, ...trees) as Tree), { policy: LOGS });
  });

  for (const [name, detour] of Object.entries(detours))
    test(name, async () => {
      const { actor } = stage;
      const at = (below: string): string => stage.at(`${name}/${below}`);
      await detour(actor, at);
      expect(await actor.do("contents", at("logs/today"))).toBe("a line\n");
      expect(await actor.do("stat", at("logs/today"))).toMatchObject({ mode: 0o100666 });
    });
});
