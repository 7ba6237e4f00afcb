/**
 * A rule with `effect: ask` holds an open of an existing file until a person answers, and denies at once whatever holds a lock of the
 * kernel. The answers hold for their scope and no longer, and nobody waits for ever.
 */
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  descendantsOf,
  eventually,
  layers,
  mountSluice,
  mountsShareProcess,
  policyOf,
  requires,
  type RunningScript,
  runSluice,
  scratch,
  type ScriptResult,
  type SluiceMount,
  startScript,
  statusOf,
} from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const PERSON = { name: "person", path: ["**/*.key", "held/**"], effect: "ask" } as const;
const ASKING = policyOf("grant", { name: "never", path: "never.key", effect: "deny" }, PERSON);
const WAIT_MS = 60_000;

interface Ask {
  askId: string;
  mount: string;
  paths: string[];
  accesses: string[];
  uid: number;
  pid: number;
  program: string;
  rule: string;
  waiting: number;
  answer: string | null;
  answeredBy: string | null;
}

async function mounted(policy = ASKING, args: readonly string[] = []): Promise<SluiceMount> {
  const { lower, upper } = layers({ lower: { "a.key": "secret", "b.key": "other", "never.key": "no", plain: "text", "held/old": "old" } });
  return mountSluice({ lowers: [lower], upper, policy, args });
}

async function asksOf(mount: SluiceMount, ...options: readonly string[]): Promise<Ask[]> {
  const { code, stdout, stderr } = await runSluice(["asks", mount.mountpoint, "--json", ...options]);
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Ask[];
}

/** The only question, once so many callers wait for its answer. */
async function asked(mount: SluiceMount, waiting: number): Promise<Ask> {
  // The command takes longer to start than the status takes to come.
  await eventually(`${waiting} opens wait`, WAIT_MS, async () => (await statusOf(mount)).asks.waiting >= waiting);
  let asks: Ask[] = [];
  await eventually(`${waiting} callers wait`, WAIT_MS, async () => {
    asks = await asksOf(mount);
    return asks.length === 1 && asks[0]?.waiting === waiting;
  });
  return asks[0] as Ask;
}

const answer = (id: string, word: string): Promise<ScriptResult> => runSluice(["answer", id, word]);
const cat = (mount: SluiceMount, name: string): RunningScript => startScript(["cat", mount.path(name)]);
const outcome = ({ code, stdout, stderr }: ScriptResult): string =>
  code === 0 ? stdout : (/: ([A-Z][a-z ]+)\n/.exec(stderr)?.[1]?.trim() ?? `code ${code}`);

test("a person sees who asks for what, and 'once' allows it once", async () => {
  const mount = await mounted();
  const reading = cat(mount, "a.key");
  const ask = await asked(mount, 1);
  expect(ask).toMatchObject({
    mount: mount.mountpoint,
    paths: ["a.key"],
    accesses: ["read"],
    uid: 0,
    pid: reading.pid,
    program: expect.stringMatching(/\/cat$|coreutils/),
    rule: "person",
    answer: null,
  });
  const { stdout } = await runSluice(["asks"]);
  expect(stdout).toContain(ask.askId);
  expect((await answer(ask.askId, "once")).code).toBe(0);
  expect(outcome(await reading.finished)).toBe("secret");
  expect(await asksOf(mount)).toEqual([]);
  const again = cat(mount, "a.key");
  await answer((await asked(mount, 1)).askId, "deny");
  expect(outcome(await again.finished)).toBe("Permission denied");
});

test("two callers with the same question are one question, and others go on meanwhile", async () => {
  const mount = await mounted();
  const [one, other] = [cat(mount, "a.key"), cat(mount, "a.key")];
  const { askId } = await asked(mount, 2);
  expect(outcome(await cat(mount, "plain").finished)).toBe("text");
  expect(outcome(await cat(mount, "never.key").finished)).toBe("Permission denied");
  await answer(askId, "once");
  expect([outcome(await one.finished), outcome(await other.finished)]).toEqual(["secret", "secret"]);
});

test("an open that a person allowed once is not asked for again if the file is served by another inode", async () => {
  const policy = policyOf("grant", { ...PERSON, access: ["write"] });
  const mount = await mounted(policy);
  // The reader passes through to the lower file, so the copy of it needs an inode of its own.
  const reader = startScript(["sh", "-c", 'exec 3< "$1"; echo open; cat', "sh", mount.path("held/old")]);
  await reader.waitFor("open");
  const writer = startScript(["sh", "-c", 'echo new > "$1"; echo written', "sh", mount.path("held/old")]);
  await answer((await asked(mount, 1)).askId, "once");
  await writer.waitFor("written");
  expect(await asksOf(mount)).toEqual([]);
  expect(outcome(await cat(mount, "held/old").finished)).toBe("new\n");
  reader.kill();
  await reader.finished;
});

test("'session' allows the same program the same file until it is revoked, and 'deny' denies it", async () => {
  const mount = await mounted();
  const reading = cat(mount, "a.key");
  const { askId } = await asked(mount, 1);
  await answer(askId, "session");
  expect(outcome(await reading.finished)).toBe("secret");
  expect(outcome(await cat(mount, "a.key").finished)).toBe("secret");
  expect(await asksOf(mount, "--answered")).toMatchObject([{ askId, answer: "session", answeredBy: "uid 0 by sluice answer" }]);
  const head = startScript(["head", mount.path("a.key")]);
  const { askId: ofHead } = await asked(mount, 1);
  expect(ofHead).not.toBe(askId);
  await answer(ofHead, "deny");
  expect(outcome(await head.finished)).toContain("Permission denied");
  expect(outcome(await startScript(["head", mount.path("a.key")]).finished)).toContain("Permission denied");
  await answer(askId, "revoke");
  const again = cat(mount, "a.key");
  await answer((await asked(mount, 1)).askId, "once");
  expect(outcome(await again.finished)).toBe("secret");
});

test("'always' outlives the mount, in a file, until it is revoked", async () => {
  const file = join(scratch(), "answers");
  const { lower, upper } = layers({ lower: { "a.key": "secret" } });
  const mountpoint = scratch();
  const policyDirectory = scratch();
  const policyFile = join(policyDirectory, "policy.yaml");
  writeFileSync(policyFile, ASKING);
  const start = (): Promise<SluiceMount> =>
    mountSluice({ lowers: [lower], upper, mountpoint, args: ["--policy", policyFile, "--answers", file] });
  const first = await start();
  const reading = cat(first, "a.key");
  const { askId } = await asked(first, 1);
  expect((await answer(askId, "always")).code).toBe(0);
  expect(outcome(await reading.finished)).toBe("secret");
  expect((await first.stop()).code).toBe(0);
  const second = await start();
  expect(outcome(await cat(second, "a.key").finished)).toBe("secret");
  expect(readFileSync(file, "utf8")).toContain('"by":"uid 0 by sluice answer"');
  await answer(askId, "revoke");
  const again = cat(second, "a.key");
  await answer((await asked(second, 1)).askId, "deny");
  expect(outcome(await again.finished)).toBe("Permission denied");
});

test("'always' is refused if there is no file for it, and the caller waits on", async () => {
  const mount = await mounted();
  const reading = cat(mount, "a.key");
  const { askId } = await asked(mount, 1);
  const refused = await answer(askId, "always");
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("start it with --answers FILE");
  await answer(askId, "once");
  expect(outcome(await reading.finished)).toBe("secret");
});

test("an open is denied if nobody answers in time", async () => {
  const mount = await mounted(ASKING, ["--ask-timeout", "300ms"]);
  expect(outcome(await cat(mount, "a.key").finished)).toBe("Permission denied");
  expect(await asksOf(mount)).toMatchObject([{ paths: ["a.key"], waiting: 0, answer: null }]);
});

for (const signal of ["SIGINT", "SIGKILL"] as const) {
  test(`${signal} ends the wait of a caller`, async () => {
    const mount = await mounted();
    const reading = cat(mount, "a.key");
    await asked(mount, 1);
    reading.kill(signal);
    expect((await reading.finished).signal).toBe(signal);
    await asked(mount, 0);
    expect((await statusOf(mount)).asks).toMatchObject({ waiting: 0 });
  });
}

test("operations under a lock of the kernel are denied at once, and a later attempt uses the answer", async () => {
  const mount = await mounted();
  const attempts: [script: string, check: string][] = [
    ["echo text > held/new", "cat held/new"],
    ["mkdir held/directory", "ls -d held/directory"],
    ["ln plain held/link", "cat held/link"],
  ];
  for (const [script] of attempts) {
    const run = (): Promise<ScriptResult> => startScript(["sh", "-c", `cd ${mount.mountpoint} && ${script}`]).finished;
    expect((await run()).stderr).toContain("Permission denied");
    const { askId, waiting } = await asked(mount, 0);
    expect(waiting).toBe(0);
    await answer(askId, "once");
    expect(await run()).toMatchObject({ code: 0, stderr: "" });
  }
});

test("a new policy decides what waits, and holds for what a person allowed", async () => {
  const mount = await mounted();
  const [reading, other] = [cat(mount, "a.key"), cat(mount, "b.key")];
  await eventually("both wait", WAIT_MS, async () => (await asksOf(mount)).length === 2);
  writeFileSync(mount.policyFile as string, policyOf("grant", { name: "person", path: "a.key", effect: "deny" }));
  expect(outcome(await reading.finished)).toBe("Permission denied");
  expect(outcome(await other.finished)).toBe("other");
  writeFileSync(mount.policyFile as string, ASKING);
  await eventually("it asks again", WAIT_MS, async () => {
    const attempt = cat(mount, "a.key");
    const asks = await asksOf(mount);
    attempt.kill("SIGKILL");
    await attempt.finished;
    return asks.some(({ waiting }) => waiting > 0);
  });
});

test("an answer does not outrank a rule that denies, and an open file that was allowed is refused once the policy denies it", async () => {
  const mount = await mounted();
  const holding = startScript(["sh", "-c", `exec 3< ${mount.path("a.key")}; echo open; read go; cat <&3`]);
  await answer((await asked(mount, 1)).askId, "session");
  await eventually("it is open", WAIT_MS, () => holding.stdout().includes("open"));
  writeFileSync(mount.policyFile as string, policyOf("grant", { name: "harder", path: "**/*.key", effect: "deny" }, PERSON));
  await eventually("it is revoked", WAIT_MS, async () => (await statusOf(mount)).revocation.refused === 1);
  holding.write("go\n");
  expect((await holding.finished).stderr).toContain("Permission denied");
  expect(outcome(await cat(mount, "a.key").finished)).toBe("Permission denied");
});

test("an open file that was allowed once goes on while the policy still leaves it to a person", async () => {
  const mount = await mounted();
  const holding = startScript(["sh", "-c", `exec 3< ${mount.path("a.key")}; echo open; read go; cat <&3`]);
  await answer((await asked(mount, 1)).askId, "once");
  await eventually("it is open", WAIT_MS, () => holding.stdout().includes("open"));
  writeFileSync(mount.policyFile as string, policyOf("grant", PERSON, { name: "new", path: "x", effect: "deny" }));
  await eventually("the policy is new", WAIT_MS, async () => (await statusOf(mount)).policy?.summary === "2 rules, default grant");
  holding.write("go\n");
  expect((await holding.finished).stdout).toBe("open\nsecret");
});

test("an unmount ends the waits, and does not wait for a person", async () => {
  const mount = await mounted();
  const reading = cat(mount, "a.key");
  await asked(mount, 1);
  const unmounted = await runSluice(["unmount", mount.mountpoint]);
  expect(unmounted).toMatchObject({ code: 0 });
  expect(outcome(await reading.finished)).toBe("Permission denied");
  expect((await mount.exited).code).toBe(0);
});

test("a server that is told to stop ends the waits", async () => {
  const mount = await mounted();
  const reading = cat(mount, "a.key");
  await asked(mount, 1);
  expect((await mount.stop()).code).toBe(0);
  expect(outcome(await reading.finished)).toBe("Permission denied");
});

test("a service that is killed while a question waits is asked again by the mount", async () => {
  const mount = await mounted();
  const reading = cat(mount, "a.key");
  const { askId } = await asked(mount, 1);
  process.kill(mount.decisionPid as number, "SIGKILL");
  await eventually("the question is there again", WAIT_MS, async () => {
    const asks = await asksOf(mount);
    return asks.length === 1 && asks[0]?.waiting === 1;
  });
  expect((await asksOf(mount))[0]?.askId).toBe(askId);
  // The mount lists its own callers while no service is there to take an answer.
  await eventually("the answer is taken", WAIT_MS, async () => (await answer(askId, "once")).code === 0);
  expect(outcome(await reading.finished)).toBe("secret");
});

test("callers that wait are listed while no service can be reached, and its return lets a person answer", async () => {
  const mount = await mounted();
  const readings = [cat(mount, "a.key"), cat(mount, "a.key")];
  const { askId } = await asked(mount, 2);
  // One of them has the policy, and others wait for the next one.
  const services = descendantsOf(mount.pid).filter(({ command }) => command.includes("decision"));
  for (const { pid } of services) process.kill(pid, "SIGSTOP");
  expect(await asked(mount, 2)).toMatchObject({ askId, paths: ["a.key"], answer: null });
  expect((await answer(askId, "once")).code).not.toBe(0);
  for (const { pid } of services) process.kill(pid, "SIGCONT");
  let haveEnded = false;
  const outcomes = Promise.all(readings.map(async (reading) => outcome(await reading.finished))).finally(() => (haveEnded = true));
  // The service may have got the first answer late, or not at all.
  await eventually("the service takes an answer", WAIT_MS, async () => {
    await answer(askId, "once");
    return haveEnded;
  });
  expect(await outcomes).toEqual(["secret", "secret"]);
});

test("a crowd of callers that wait is bounded, and the status tells of it", async () => {
  const mount = await mounted();
  const { most } = (await statusOf(mount)).asks;
  const crowd = startScript([
    "sh",
    "-c",
    `for i in $(seq ${most + 5}); do cat ${mount.path("a.key")} >/dev/null 2>&1 & done; wait; echo over`,
  ]);
  await eventually("some were denied", WAIT_MS, async () => (await statusOf(mount)).asks.crowdedOut === 5);
  expect((await statusOf(mount)).asks.waiting).toBe(most);
  expect((await mount.cli("status")).stdout).toContain(
    `asks        ${most} opens wait for a person, of at most ${most}; 5 denied at once, since so many waited: see 'sluice asks'`,
  );
  expect(outcome(await cat(mount, "plain").finished)).toBe("text");
  await answer((await asked(mount, most)).askId, "deny");
  expect((await crowd.finished).stdout).toBe("over\n");
});

test("a process in a pid namespace below that of the mount may not answer", async () => {
  const mount = await mounted();
  const reading = cat(mount, "a.key");
  const { askId } = await asked(mount, 1);
  const inside = await startScript([
    "unshare",
    "--pid",
    "--fork",
    "--mount-proc",
    process.execPath,
    new URL("../../../packages/cli/bin/sluice.cjs", import.meta.url).pathname,
    "answer",
    askId,
    "once",
    mount.mountpoint,
  ]).finished;
  expect(inside.code).toBe(1);
  expect(inside.stderr).toContain("the process that answers is in another pid namespace (EPERM)");
  await asked(mount, 1);
  await answer(askId, "once");
  expect(outcome(await reading.finished)).toBe("secret");
});

test("explain tells that a person is asked, and puts no question on the list", async () => {
  const mount = await mounted();
  const { stdout } = await runSluice(["explain", mount.path("a.key")]);
  expect(stdout).toMatch(/effect {7}ask/);
  expect(stdout).toContain("if a person allows it; then mediated");
  expect(await asksOf(mount)).toEqual([]);
});

test("the list of all questions names a mount that does not answer: questions may wait there", async () => {
  const { lower, upper } = layers({ lower: { "a.key": "secret" } });
  const mount = await mountSluice({ lowers: [lower], upper, policy: ASKING, ownProcess: true });
  process.kill(mount.serverPid, "SIGSTOP");
  try {
    const { code, stderr } = await runSluice(["asks"], { timeoutMs: WAIT_MS });
    expect(code).toBe(0);
    expect(stderr).toContain(`sluice: ${mount.mountpoint}: the daemon does not answer (ETIMEDOUT)`);
  } finally {
    process.kill(mount.serverPid, "SIGCONT");
  }
});

test("a question tells the program by its name, whatever its alphabet", async () => {
  const mount = await mounted();
  const program = join(scratch(), "größe");
  copyFileSync("/bin/cat", program);
  const reader = startScript([program, mount.path("a.key")]);
  const { askId, program: told } = await asked(mount, 1);
  expect(told).toBe(program);
  expect((await runSluice(["asks", mount.mountpoint])).stdout).toContain(`  ${program}  `);
  expect((await answer(askId, "session")).code).toBe(0);
  expect((await reader.finished).stdout).toBe("secret");
  expect(await asksOf(mount, "--answered")).toMatchObject([{ program }]);
});

test("a mount that does not answer keeps no answer from another one until its caller is denied", async () => {
  const { lower, upper } = layers({ lower: { "a.key": "secret" } });
  const hanging = await mountSluice({ lowers: [lower], upper, policy: ASKING, ownProcess: true });
  // A client waits 30 s for a mount that somebody named.
  const mount = await mounted(ASKING, ["--ask-timeout", "25s"]);
  const reading = cat(mount, "a.key");
  const { askId } = await asked(mount, 1);
  process.kill(hanging.serverPid, "SIGSTOP");
  try {
    expect((await answer(askId, "once")).code).toBe(0);
    expect(outcome(await reading.finished)).toBe("secret");
  } finally {
    process.kill(hanging.serverPid, "SIGCONT");
  }
});
