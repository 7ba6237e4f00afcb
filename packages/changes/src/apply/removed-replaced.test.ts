// The replaced files of an apply lie in the directory if the session is on another disk: somebody removes them (git clean -x).
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { diffSnapshots, file, requires, type Snapshot, snapshot } from "@sluice/testkit";
import { expect } from "vitest";
import { reviewed } from "../testing/apply-planted.js";
import { untilCall } from "../testing/dying-system.js";
import { CHANGED_BASE, CHANGES, type PlantedSession, plantSession } from "../testing/plant-session.js";
import { recoverApply } from "./recover.js";
import { undoApply } from "./undo.js";

const { test } = requires("CAP_SYS_ADMIN");
/** Each moment has a session of its own. */
const APART = 4;
const LIMIT_MS = 120_000;

const slotsIn = ({ base }: PlantedSession): string[] =>
  readdirSync(base)
    .filter((name) => name.startsWith(".sluice-apply-"))
    .map((name) => join(base, name));

function treeOf(path: string): Snapshot {
  const all = [...snapshot(path, { hardLinks: true })].filter(([name]) => !name.startsWith(".sluice-apply-"));
  return new Map(all.map(([name, entry]) => [name, { ...entry, mtimeNs: 0n }]));
}

/** A session on another disk than its directory, whose apply or undo ends before its call number `calls`. */
async function killed(command: "apply" | "undo", calls: number): Promise<{ session: PlantedSession; ended: boolean }> {
  const session = await plantSession(CHANGED_BASE, CHANGES, { base: "disk", session: "tmpfs" });
  if (command === "undo") await reviewed(session).apply();
  const ended = await untilCall(calls, () => (command === "apply" ? reviewed(session).apply() : undoApply(session.place)));
  return { session, ended };
}

/** @returns the message of the error, if there is one */
function recovered({ place }: PlantedSession): string | undefined {
  try {
    recoverApply(place);
    return undefined;
  } catch (error) {
    return String(error);
  }
}

const REMOVALS: readonly [string, (slots: string) => void][] = [
  ["all", (slots) => rmSync(slots, { recursive: true })],
  ["the last", (slots) => rmSync(join(slots, readdirSync(slots).sort().at(-1) ?? "none"), { recursive: true, force: true })],
];

for (const command of ["apply", "undo"] as const)
  for (const [which, remove] of REMOVALS)
    test(
      `after a killed ${command} the next command names the replaced files that somebody removed, ${which} of them, and undoes the rest`,
      async () => {
        const whole = await plantSession(CHANGED_BASE, CHANGES, { base: "disk", session: "tmpfs" });
        await reviewed(whole).apply();
        const applied = treeOf(whole.base);
        let named = 0;
        for (let calls = 0, ended = false; !ended; calls += APART) {
          const one = await killed(command, calls);
          const { session } = one;
          ended = one.ended;
          for (const slots of slotsIn(session)) remove(slots);
          const error = recovered(session);
          if (error !== undefined) {
            expect(error, `${calls} calls`).toMatch(
              /: somebody removed the replaced files from .*\(ENOENT\): the rest was undone: take them/,
            );
            named++;
          }
          expect(recovered(session), `${calls} calls`).toBeUndefined();
          // Nothing of the session is lost.
          if (reviewed(session).all.length > 0) await reviewed(session).apply();
          expect(diffSnapshots(treeOf(session.base), applied), `${calls} calls`).toEqual([]);
        }
        expect(named).toBeGreaterThan(0);
      },
      LIMIT_MS,
    );

test("an undo changes nothing if somebody removed replaced files, which lie in the directory", async () => {
  const session = await plantSession(CHANGED_BASE, CHANGES, { base: "disk", session: "tmpfs" });
  const before = treeOf(session.base);
  await reviewed(session).apply();
  const applied = treeOf(session.base);
  const slots = join(session.base, readdirSync(session.base).find((name) => name.startsWith(".sluice-apply-")) as string);
  const kept = readdirSync(slots).find((name) => /^\d+$/.test(name)) as string;
  for (const [from, to] of [
    [join(slots, kept), join(slots, "aside")],
    [slots, join(session.base, "aside")],
  ] as const) {
    renameSync(from, to);
    expect(() => undoApply(session.place)).toThrow(
      /: somebody removed the replaced files from .*: nothing was undone: take them from a backup/,
    );
    renameSync(to, from);
    expect(diffSnapshots(treeOf(session.base), applied)).toEqual([]);
  }
  expect(undoApply(session.place)).toMatchObject({ done: true });
  expect(diffSnapshots(treeOf(session.base), before)).toEqual([]);
});

const { test: withGit } = requires("CAP_SYS_ADMIN", "command git");

withGit("git neither shows nor cleans the replaced files, which lie in the directory", async () => {
  const session = await plantSession({ edited: file("old") }, { edited: file("new") }, { base: "disk", session: "tmpfs" });
  const git = (...words: string[]): string => execFileSync("git", words, { cwd: session.base, encoding: "utf8" });
  git("init", "-q");
  git("add", "edited");
  await reviewed(session).apply();
  expect(git("status", "--porcelain")).toBe("AM edited\n");
  git("clean", "-fdq");
  expect(undoApply(session.place)).toMatchObject({ done: true });
  expect([readFileSync(join(session.base, "edited"), "utf8"), readdirSync(session.base)]).toEqual(["old", [".git", "edited"]]);
});
