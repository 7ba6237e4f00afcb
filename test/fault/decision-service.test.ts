/**
 * The decision service is killed, frozen and restarted under a load of opens: there is never a wrong grant, and the policy's denials
 * remain.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import {
  begunEarly,
  descendantsOf,
  eventually,
  mountSluice,
  policyOf,
  requires,
  runScript,
  scratch,
  type SluiceMount,
  type SluiceMountOptions,
  startScript,
} from "@sluice/testkit";
import { expect } from "vitest";
import { Opener } from "./harness/opener.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
/**
 * No answer may be cached: these tests are about questions. Nor may one hold for other files: in an outage an expired one would, if the
 * mount has found the service gone before it looked for the answer.
 */
const POLICY = policyOf(
  "grant",
  { name: "secrets", path: "secret", effect: "deny", errno: "EPERM", ttl: "0ms" },
  { name: "the-rest", path: "**", effect: "grant", ttl: "0ms", scope: "this" },
);
const KILLS = 6;
const CLI = fileURLToPath(new URL("../../packages/cli/bin/sluice.cjs", import.meta.url));
/** On a busy machine an answer takes a while, too. */
const TIMEOUT = ["--decision-timeout", "2s"];
/** Longer than `TIMEOUT`. */
const FROZEN_MS = 2_500;
const RECOVERY_MS = 60_000;

async function mounted(options: Partial<SluiceMountOptions> = {}): Promise<SluiceMount> {
  const lower = scratch();
  for (const name of ["plain", "secret", "other"]) writeFileSync(join(lower, name), name);
  return mountSluice({ lowers: [lower], policy: POLICY, ...options });
}

/** Waits for a decision service other than `before`. */
async function successor(mount: SluiceMount, before: number | undefined): Promise<number> {
  for (;;) {
    const pid = mount.decisionPid;
    if (pid !== undefined && pid !== before) return pid;
    await sleep(20);
  }
}

/** "T" if it is stopped. */
const stateOf = (pid: number): string | undefined => /^State:\t(\w)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];

const untilStopped = (pid: number): Promise<void> => eventually("the service is stopped", RECOVERY_MS, () => stateOf(pid) === "T");

/** The results of opens of these files while the service, `pid`, is stopped. */
async function whileFrozen(mount: SluiceMount, pid: number, names: readonly string[]): Promise<Record<string, string[]>> {
  process.kill(pid, "SIGSTOP");
  await untilStopped(pid);
  const opener = await Opener.start(names.map((name) => mount.path(name)));
  await sleep(FROZEN_MS);
  const outcomes = await opener.stop();
  expect([mount.decisionPid, stateOf(pid)], mount.log()).toEqual([pid, "T"]);
  process.kill(pid, "SIGCONT");
  return Object.fromEntries(names.map((name) => [name, Object.keys(outcomes[mount.path(name)] ?? {})]));
}

test("killed repeatedly: every open waits for the next service, and gets the policy's answer", async () => {
  const mount = await mounted({ args: ["--decision-timeout", "30s"] });
  const opener = await Opener.start([mount.path("plain"), mount.path("secret")]);
  let pid = await successor(mount, undefined);
  for (let kill = 0; kill < KILLS; kill++) {
    await sleep(150);
    process.kill(pid, "SIGKILL");
    pid = await successor(mount, pid);
  }
  await sleep(500);
  const outcomes = await opener.stop();
  expect(Object.keys(outcomes[mount.path("plain")] ?? {})).toEqual(["ok"]);
  expect(Object.keys(outcomes[mount.path("secret")] ?? {})).toEqual(["EPERM"]);
  expect(mount.log()).toContain("it is started again");
  await mount.stop();
});

test("killed after an edit with a lower revision: the policy in force holds under the next service", async () => {
  const mount = await mounted({ policy: `revision: 7\n${POLICY}`, args: ["--decision-timeout", "30s"] });
  const read = async (name: string): Promise<number | null> => (await runScript(["cat", mount.path(name)])).code;
  expect([await read("plain"), await read("secret")]).toEqual([0, 1]);
  const pid = await successor(mount, undefined);
  writeFileSync(mount.policyFile as string, `revision: 6\n${policyOf("grant")}`);
  process.kill(pid, "SIGKILL");
  await successor(mount, pid);
  expect([await read("plain"), await read("secret")], mount.log()).toEqual([0, 1]);
  await mount.stop();
});

test("a killed daemon takes its decision service along", async () => {
  const mount = await mounted();
  const pid = await successor(mount, undefined);
  await mount.kill();
  await expect.poll(() => isGone(pid)).toBe(true);
  expect((await mount.cli("unmount")).code).toBe(0);
});

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}

test(
  "frozen: opens are denied after their deadline, none is granted, and the service continues after the thaw",
  begunEarly(async () => {
    const mount = await mounted({ args: [...TIMEOUT, "--log-level", "warn"] });
    const pid = await successor(mount, undefined);
    const before = await Opener.start([mount.path("plain"), mount.path("secret")]);
    await sleep(200);
    expect(Object.keys((await before.stop())[mount.path("plain")] ?? {})).toEqual(["ok"]);

    const frozen = await whileFrozen(mount, pid, ["plain", "secret"]);
    expect(frozen, mount.log()).toEqual({ plain: ["EACCES"], secret: ["EACCES"] });
    expect(mount.log().split("no decision can be had for an access, it is denied")).toHaveLength(2);

    const after = await Opener.start([mount.path("plain"), mount.path("secret")]);
    await eventually("a file is opened again", RECOVERY_MS, async () => (await runScript(["cat", mount.path("plain")])).code === 0);
    await sleep(500);
    const thawed = await after.stop();
    expect(thawed[mount.path("plain")]?.["ok"]).toBeGreaterThan(0);
    expect(thawed[mount.path("secret")]?.["ok"]).toBeUndefined();
    await eventually("the log has the end of the outage", RECOVERY_MS, async () => {
      await runScript(["cat", mount.path("plain")]);
      return /"denied":[1-9].*"decisions can be had again"/.test(mount.log());
    });
    await mount.stop();
  }),
);

test(
  "stale: repeats decided answers, and denies questions that were never asked",
  begunEarly(async () => {
    const mount = await mounted({ args: ["--on-outage", "stale", "--stale-for", "1h", ...TIMEOUT] });
    const pid = await successor(mount, undefined);
    const before = await Opener.start([mount.path("plain"), mount.path("secret")]);
    await sleep(200);
    await before.stop();

    const frozen = await whileFrozen(mount, pid, ["plain", "secret", "other"]);
    expect(frozen, mount.log()).toEqual({ plain: ["ok"], secret: ["EPERM"], other: ["EACCES"] });
    expect(await mount.status()).toMatchObject({ decisions: { "grant/stale": expect.any(Number) } });
    await mount.stop();
  }),
);

test(
  "stale: repeats the answer to one program for no other program",
  begunEarly(async () => {
    const policy = policyOf("deny", { name: "cat", subject: { executable: "/**/cat" }, effect: "grant", ttl: "0ms" });
    const mount = await mounted({ policy, args: ["--on-outage", "stale", "--stale-for", "1h", ...TIMEOUT] });
    const pid = await successor(mount, undefined);
    const cat = async (): Promise<number | null> => (await runScript(["cat", mount.path("plain")])).code;
    expect(await cat()).toBe(0);
    const frozen = whileFrozen(mount, pid, ["plain"]);
    await untilStopped(pid);
    expect(await cat(), mount.log()).toBe(0);
    expect(await frozen, mount.log()).toEqual({ plain: ["EACCES"] });
    await mount.stop();
  }),
);

/** The decision service of a mount, once it runs its own program: its parent stands still until then. */
function serviceOf(pid: number): number | undefined {
  return descendantsOf(pid).find(({ command }) => command.includes("decision-child"))?.pid;
}

test(
  "a call by name waits for a decision service whose start takes longer than that of the mount",
  begunEarly(async () => {
    const [lower, mountpoint, policy] = [scratch(), scratch(), join(scratch(), "policy.yaml")];
    writeFileSync(join(lower, "plain"), "text");
    writeFileSync(policy, POLICY);
    const words = [process.execPath, CLI, "mount", "--lower", lower, "--policy", policy, mountpoint];
    const mount = startScript(words, { timeoutMs: 2 * RECOVERY_MS });
    let service: number | undefined;
    await eventually("its service starts", RECOVERY_MS, () => (service = serviceOf(mount.pid)) !== undefined);
    if (service === undefined) throw new Error("it has no service");
    process.kill(service, "SIGSTOP");
    await mount.waitFor("mounted ");
    const reader = startScript(["cat", join(mountpoint, "plain")], { timeoutMs: RECOVERY_MS });
    await eventually("the reader waits", RECOVERY_MS, () => /^State:\tS/m.test(readFileSync(`/proc/${reader.pid}/status`, "latin1")));
    process.kill(service, "SIGCONT");
    expect(await reader.finished).toMatchObject({ code: 0, stdout: "text", stderr: "" });
    mount.kill("SIGTERM");
    expect(await mount.finished).toMatchObject({ code: 0 });
  }),
);
