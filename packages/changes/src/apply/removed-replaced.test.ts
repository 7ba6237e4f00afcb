// A command is killed in the middle of an apply or undo, and somebody removes the replaced files, which lie in the directory (git clean -x).
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { diffSnapshots, directory, file, hardLink, requires, type Snapshot, snapshot, symlink, type Tree, whiteout } from "@sluice/testkit";
import { expect } from "vitest";
import { reviewed } from "../testing/apply-planted.js";
import { untilCall } from "../testing/dying-system.js";
import { type PlantedSession, plantSession } from "../testing/plant-session.js";
import { recoverApply } from "./recover.js";
import { undoApply } from "./undo.js";

const { test } = requires("CAP_SYS_ADMIN");
/** Each moment has a session of its own. */
const APART = 4;
const LIMIT_MS = 120_000;

const BASE: Tree = {
  edited: file("old"),
  gone: file("gone"),
  "dir/in": file("in"),
  "pair/a": file("two names"),
  "pair/b": hardLink("pair/a"),
  folder: file("a file"),
  mode: file("m", { mode: 0o644 }),
};
const UPPER: Tree = {
  edited: file("new"),
  gone: whiteout(),
  dir: symlink("elsewhere"),
  "pair/a": file("changed"),
  "pair/b": hardLink("pair/a"),
  "folder/": directory(),
  "folder/in": file("in"),
  mode: file("m", { mode: 0o755 }),
  "added/in": file("added"),
};

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
  const session = await plantSession(BASE, UPPER, { base: "disk", session: "tmpfs" });
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
        const whole = await plantSession(BASE, UPPER, { base: "disk", session: "tmpfs" });
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
