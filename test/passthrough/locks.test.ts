/**
 * Advisory locks in the daemon behave as on a local file system, and a file has one lock table, however many nodes the kernel
 * has for it.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  eventually,
  layers,
  mountSluice,
  mountsShareProcess,
  policyOf,
  publicFile,
  requires,
  scratch,
  type SluiceMount,
  statusOf,
  within,
} from "@sluice/testkit";
import { seededRandom } from "@sluice/testkit/random";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";
import { requestsOf, WITH_METRICS } from "./harness/request-counts.js";
import { Locker } from "./harness/locker.js";

mountsShareProcess();

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");
/** In another pid namespace a mount leaves locks to the kernel by default. */
const { test: amongAll } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough", "the machine's pid namespace");

const AGAIN = String(-Errno.EAGAIN);
const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;
/** Long enough to see a wrong answer, which must not come. */
const STILL_WAITING_MS = 250;

async function mounted(args: string[] = ["--locks", "daemon"], files: string[] = ["f", "g"]): Promise<SluiceMount> {
  const { lower, upper } = layers({ lower: Object.fromEntries(files.map((name) => [name, publicFile("0123456789".repeat(20))])) });
  return mountSluice({ lowers: [lower], upper, args });
}

/** An audited writer has a node of its own beside passthrough readers. */
async function mountedMixed(): Promise<SluiceMount> {
  const { lower, upper } = layers({ upper: { f: publicFile("0123456789".repeat(20)) } });
  const policy = policyOf("grant", {
    name: "writers",
    path: "**",
    access: ["write"],
    effect: "mediate",
    obligations: { audit: "each-io" },
  });
  return mountSluice({ lowers: [lower], upper, sharedPolicy: policy });
}

interface Step {
  who: number;
  words: (string | number)[];
}

const ACTORS = 3;
const SLOTS = 3;
const FILES = 2;

/** Steps that never wait: the answer of each depends on all before it. */
function steps(seed: number, count: number): Step[] {
  const next = seededRandom(seed).below;
  const made: Step[] = [];
  for (let who = 0; who < ACTORS; who++)
    for (let slot = 0; slot < SLOTS; slot++) made.push({ who, words: ["open", slot, O.RDWR, `FILE${slot % FILES}`] });
  while (made.length < count) {
    const who = next(ACTORS);
    const slot = next(SLOTS);
    const range = [next(12) * 5, next(4) * 10];
    const how = ["r", "w", "u", "w", "r"][next(5)] as string;
    const kind = next(20);
    if (kind < 9) made.push({ who, words: ["set", slot, how, ...range] });
    else if (kind < 12) made.push({ who, words: ["get", slot, how === "u" ? "w" : how, ...range] });
    else if (kind < 13) made.push({ who, words: ["ofdget", slot, how, ...range] });
    else if (kind < 15) made.push({ who, words: ["ofd", slot, how, ...range] });
    else if (kind < 18)
      made.push({ who, words: ["flock", slot, [LOCK_SH, LOCK_EX, LOCK_UN][next(3)] === LOCK_UN ? LOCK_UN : (next(2) + 1) | LOCK_NB] });
    else if (kind < 19) made.push({ who, words: ["child", slot] });
    else {
      made.push({ who, words: ["close", slot] });
      made.push({ who, words: ["open", slot, O.RDWR, `FILE${next(FILES)}`] });
    }
  }
  return made;
}

/** Replaces pids by numbers of actors, so that two runs compare; the owner of an open file's lock is left out (see lock-table.ts). */
function normal(answer: string, actors: Locker[]): string {
  return answer.replace(
    / (-?\d+) 0$/,
    (_all, pid: string) => ` by ${pid === "-1" ? "file" : actors.findIndex((actor) => actor.pid === Number(pid))}`,
  );
}

async function play(directory: string, script: Step[]): Promise<string[]> {
  const actors = Array.from({ length: ACTORS }, () => new Locker());
  const answers: string[] = [];
  for (const { who, words } of script) {
    const spoken = words.map((word) =>
      typeof word === "string" ? word.replace(/^FILE(\d)$/, (_all, n: string) => join(directory, "fg"[Number(n)] as string)) : word,
    );
    const answer = normal(await (actors[who] as Locker).do(...spoken), actors);
    // Of a lock that a FUSE file names, the kernel takes the pid only if the question is not F_OFD_GETLK (fs/locks.c locks_translate_pid).
    answers.push(`${who} ${words.join(" ")}: ${words[0] === "ofdget" ? answer.replace(/ by \w+$/, "") : answer}`);
  }
  await Promise.all(actors.map((actor) => actor.end()));
  return answers;
}

/** The kernel names the holder of an open file's lock as -1, and we name its taker. */
function alike(a: string, b: string): boolean {
  return a === b || (a.endsWith(" by file") && a.replace(/ by file$/, "") === b.replace(/ by \d+$/, ""));
}

test("random sequences of three processes answer as on a local file system", async () => {
  const mount = await mounted();
  const native = join(scratch(), "native");
  mkdirSync(native);
  for (const name of "fg") writeFileSync(join(native, name), "0123456789".repeat(20));
  for (let seed = 1; seed <= 8; seed++) {
    const script = steps(seed, 250);
    const [ours, theirs] = await Promise.all([play(mount.mountpoint, script), play(native, script)]);
    const different = theirs.flatMap((line, i) =>
      alike(line, ours[i] as string) ? [] : [`seed ${seed}, step ${i}: ${line} | ${ours[i]}`],
    );
    expect(different.slice(0, 3)).toEqual([]);
  }
  await mount.stop();
}, 120_000);

/** The caller of a command does not wait at once: its process has to come to the call. */
const untilWaiting = (mount: SluiceMount, callers: number): Promise<void> =>
  eventually(`${callers} wait`, 30_000, async () => (await statusOf(mount)).engine.inFlight === callers);

describe("a wait", () => {
  test("ends when the holder unlocks, closes the file or dies", async () => {
    const mount = await mounted();
    const [a, b] = [new Locker(), new Locker()];
    const path = mount.path("f");
    for (const letGo of [["set", 0, "u", 0, 0], ["close", 0], "end"] as const) {
      expect(await a.do("open", 0, O.RDWR, path)).toBe("0");
      expect(await b.do("open", 0, O.RDWR, path)).toBe("0");
      expect(await a.do("set", 0, "w", 0, 0)).toBe("0");
      const waits = b.do("wait", 0, "w", 5, 5);
      expect(await within(STILL_WAITING_MS, waits)).toBe("pending");
      if (letGo === "end") await a.end();
      else expect(await a.do(...letGo)).toBe("0");
      expect(await within(30_000, waits)).toBe("0");
      expect(await b.do("set", 0, "u", 0, 0)).toBe("0");
    }
    await b.end();
    await mount.stop();
  });

  test("a wait for flock ends at the last close of the open file", async () => {
    const mount = await mounted();
    const [a, b] = [new Locker(), new Locker()];
    for (const actor of [a, b]) await actor.do("open", 0, O.RDONLY, mount.path("f"));
    expect(await a.do("flock", 0, LOCK_EX)).toBe("0");
    await a.do("dup", 0, 1);
    const waits = b.do("flock", 0, LOCK_SH);
    expect(await a.do("close", 0)).toBe("0");
    expect(await within(STILL_WAITING_MS, waits)).toBe("pending");
    expect(await a.do("close", 1)).toBe("0");
    expect(await within(30_000, waits)).toBe("0");
    await Promise.all([a.end(), b.end()]);
    await mount.stop();
  });

  test("ends with EINTR on a signal, and delays nothing afterwards", async () => {
    const mount = await mounted();
    const [a, b, c] = [new Locker(), new Locker(), new Locker()];
    for (const actor of [a, b, c]) await actor.do("open", 0, O.RDWR, mount.path("f"));
    expect(await a.do("set", 0, "r", 0, 10)).toBe("0");
    for (const command of ["wait", "ofdwait"]) {
      const waits = b.do(command, 0, "w", 0, 10);
      await untilWaiting(mount, 1);
      expect(await within(STILL_WAITING_MS, waits)).toBe("pending");
      b.interrupt();
      expect(await within(30_000, waits)).toBe(String(-Errno.EINTR));
    }
    const waits = b.do("flock", 0, LOCK_EX);
    expect(await within(30_000, waits)).toBe("0");
    expect(await c.do("set", 0, "r", 0, 10)).toBe("0");
    await Promise.all([a, b, c].map((actor) => actor.end()));
    await mount.stop();
  });

  test("a wait that would never end is EDEADLK, over two files and three processes", async () => {
    const mount = await mounted();
    const [a, b, c] = [new Locker(), new Locker(), new Locker()];
    for (const actor of [a, b, c]) {
      await actor.do("open", 0, O.RDWR, mount.path("f"));
      await actor.do("open", 1, O.RDWR, mount.path("g"));
    }
    expect(await a.do("set", 0, "w", 0, 1)).toBe("0");
    expect(await b.do("set", 0, "w", 1, 1)).toBe("0");
    expect(await c.do("set", 1, "w", 0, 1)).toBe("0");
    const first = a.do("wait", 0, "w", 1, 1);
    await untilWaiting(mount, 1);
    expect(await within(STILL_WAITING_MS, first)).toBe("pending");
    const second = b.do("wait", 1, "r", 0, 1);
    await untilWaiting(mount, 2);
    expect(await within(STILL_WAITING_MS, second)).toBe("pending");
    expect(await within(30_000, c.do("wait", 0, "r", 0, 1))).toBe(String(-Errno.EDEADLK));
    expect(await c.do("close", 1)).toBe("0");
    expect(await within(30_000, second)).toBe("0");
    expect(await b.do("close", 0)).toBe("0");
    expect(await within(30_000, first)).toBe("0");
    await Promise.all([a, b, c].map((actor) => actor.end()));
    await mount.stop();
  });

  test("does not delay the end of the mount", async () => {
    const mount = await mounted();
    const [a, b] = [new Locker(), new Locker()];
    for (const actor of [a, b]) await actor.do("open", 0, O.RDWR, mount.path("f"));
    expect(await a.do("set", 0, "w", 0, 0)).toBe("0");
    const waits = b.do("wait", 0, "w", 0, 0);
    await untilWaiting(mount, 1);
    expect(await within(STILL_WAITING_MS, waits)).toBe("pending");
    await Promise.all([a.end(), b.end()]);
    expect((await mount.stop()).code).toBe(0);
    await waits;
  });
});

describe("a file of which the kernel has two nodes", () => {
  const cases = (["copy-up", "mixed decision"] as const).flatMap((how) =>
    (["set", "ofd", "flock"] as const).map((kind) => ({ how, kind })),
  );
  for (const { how: parted, kind } of cases)
    (parted === "copy-up" ? test : amongAll)(
      `a lock taken before the ${parted} excludes later openers, and the other way round (${kind})`,
      async () => {
        const mount = await (parted === "copy-up" ? mounted() : mountedMixed());
        const [a, b] = [new Locker(), new Locker()];
        const lock = (how: "r" | "w"): (string | number)[] =>
          kind === "flock" ? [how === "r" ? LOCK_SH | LOCK_NB : LOCK_EX | LOCK_NB] : [how, 0, 0];
        expect(await a.do("open", 0, O.RDONLY, mount.path("f"))).toBe("0");
        expect(await b.do("open", 0, O.RDWR, mount.path("f"))).toBe("0");
        const modes = parted === "copy-up" ? { passthrough: 2 } : { passthrough: 1, mediated: 1 };
        expect((await statusOf(mount)).openFilesByMode).toMatchObject(modes);
        expect(await a.do(kind, 0, ...lock("r"))).toBe("0");
        expect(await b.do(kind, 0, ...lock("w"))).toBe(AGAIN);
        expect(await b.do(kind, 0, ...lock("r"))).toBe("0");
        expect(await a.do("close", 0)).toBe("0");
        expect(await b.do(kind, 0, ...lock("w"))).toBe("0");
        await Promise.all([a.end(), b.end()]);
        await eventually("no lock is left", 30_000, async () => (await statusOf(mount)).overlay.openFiles === 0);
        await mount.stop();
      },
    );
});

test("the kernel does not report a close to the daemon if the kernel manages locks", async () => {
  for (const [locks, told] of [
    ["kernel", false],
    ["daemon", true],
  ] as const) {
    const mount = await mounted(["--locks", locks, ...WITH_METRICS]);
    const a = new Locker();
    for (let i = 0; i < 5; i++) {
      expect(await a.do("open", 0, O.RDONLY, mount.path("f"))).toBe("0");
      expect(await a.do("set", 0, "r", 0, 1)).toBe("0");
      expect(await a.do("close", 0)).toBe("0");
    }
    const flags = ((await mount.status()) as { engine: { flags: string[] } }).engine.flags;
    expect(flags.includes("POSIX_LOCKS")).toBe(told);
    const flushes = await requestsOf(mount, "FLUSH");
    expect(flushes).toBe(told ? 5 : 1);
    await a.end();
    await mount.stop();
  }
});
