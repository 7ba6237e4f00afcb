/**
 * Programs that check what they wrote, while the server is killed repeatedly, and its decision service with it: SQLite in both
 * of its journal modes, and git.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { policyOf, requires, runScript, scratch } from "@sluice/testkit";
import { seededRandom } from "@sluice/testkit/random";
import { expect } from "vitest";
import { chooseSeed } from "../exercisers/policies.js";
import { withLog } from "../exercisers/with-log.js";
import { KilledDecision } from "./killed-decision.js";
import { mountSupervised } from "./supervised-mount.js";
import { killsWanted, shareMs } from "./share.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command python3", "command git");
const budgetMs = shareMs(4_000);
const SPARE_MS = 180_000;
/** Each open is asked about. A renamed file stays under its rule: git moves its files from names that it draws at random. */
const POLICY = policyOf(
  "grant",
  { name: "databases", path: "*.db*", effect: "grant", ttl: "0ms" },
  { name: "trees", path: "{origin,clone*}/**", effect: "mediate", ttl: "0ms" },
);

/** Commits rows one by one, and finds every one of them, once, when it reopens the file. */
const SQLITE = `
import sqlite3, sys, time
path, mode, until = sys.argv[1], sys.argv[2], float(sys.argv[3])
rows = 0
while time.time() < until:
    db = sqlite3.connect(path, timeout=60)
    db.execute("pragma journal_mode=" + mode)
    db.execute("create table if not exists t (n integer unique, text text)")
    assert db.execute("select count(*), coalesce(max(n), 0) from t").fetchone() == (rows, rows), rows
    for _ in range(20):
        rows += 1
        with db: db.execute("insert into t values (?, ?)", (rows, "x" * (rows % 3000)))
    assert db.execute("pragma integrity_check").fetchone() == ("ok",)
    db.close()
print("rows", rows)
`;

const GIT = `
set -e
export HOME="$1" GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git init -q "$1/origin"; cd "$1/origin"
n=0
while [ "$(date +%s)" -lt "$2" ]; do
  n=$((n + 1))
  for i in 1 2 3 4 5 6 7 8; do echo "$n $i" > "file$i"; mkdir -p "d$i"; echo "$n" > "d$i/f$n"; done
  git add -A; git commit -q -m "commit $n"
  git clone -q "$1/origin" "$1/clone$n"
  git -C "$1/clone$n" fsck --full --strict
  test "$(git -C "$1/clone$n" rev-list --count HEAD)" = "$n"
  test -z "$(git -C "$1/clone$n" status --porcelain)"
  rm -rf "$1/clone$n"
done
echo "commits $n"
`;

async function runPrograms(decision: KilledDecision): Promise<void> {
  const upper = join(scratch(), "upper");
  mkdirSync(upper);
  const supervised = await mountSupervised({ lower: scratch(), upper, args: ["--decision", decision.target, "--decision-timeout", "60s"] });
  const untilMs = Date.now() + budgetMs;
  const options = { timeoutMs: budgetMs + SPARE_MS };
  const sqlite = (mode: string) =>
    runScript(["python3", "-c", SQLITE, supervised.mount.path(`${mode}.db`), mode, String(untilMs / 1000)], options);
  const git = runScript(["sh", "-c", GIT, "sh", supervised.mountpoint, String(Math.ceil(untilMs / 1000))], options);
  const working = Promise.all([sqlite("delete"), sqlite("wal"), git]);
  await withLog(supervised.mount, async () => {
    const random = seededRandom(chooseSeed()).fraction;
    const kills = await supervised.killingWhile(working, { random, pauseMs: 700, untilMs, alsoKill: () => decision.kill() });
    const results = await working;
    const said = results.map(({ stdout }) => stdout.trim()).join(", ");
    process.stdout.write(`${kills} kills, ${decision.kills} of the decision service with it: ${said}\n`);
    expect(results.map(({ code, stdout, stderr }) => (code === 0 ? "ok" : `${stderr}${stdout}`))).toEqual(["ok", "ok", "ok"]);
    expect(kills).toBeGreaterThanOrEqual(killsWanted(30, 1));
    expect((await supervised.mount.stop()).code).toBe(0);
  });
}

test(
  "SQLite and git lose nothing, and meet no error",
  async () => {
    const decision = await KilledDecision.start(POLICY);
    await runPrograms(decision).finally(() => decision.stop());
  },
  budgetMs + 2 * SPARE_MS,
);
