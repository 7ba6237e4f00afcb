/** Policies of one host service that share a decision process: each is as good as alone, until the process ends. */
import { chownSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { credentials } from "@grpc/grpc-js";
import { wire } from "@sluice/host-api";
import {
  Actor,
  cleanUp,
  eventually,
  type HostService,
  isAlive,
  layers,
  mountSluice,
  openDescriptors,
  policyOf,
  requires,
  scratch,
  type SluiceMount,
  startHostService,
} from "@sluice/testkit";
import { Errno } from "@sluice/vfs";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const PATIENCE_MS = 30_000;
const DENIED = -Errno.EACCES;
const denying = (name: string): string => policyOf("grant", { name: `no-${name}`, path: name, effect: "deny", ttl: "0ms" });

interface Mounted {
  mount: SluiceMount;
  policyFile: string;
}

/** A mount of the files `a` and `b`, which say so, with a policy file of its own. */
async function mounted(host: HostService, policy: string, args: readonly string[] = [], policyFile?: string): Promise<Mounted> {
  const file = policyFile ?? join(scratch(), "policy.yaml");
  if (policyFile === undefined) writeFileSync(file, policy);
  const { lower } = layers({ lower: { a: "a", b: "b" } });
  const mount = await mountSluice({ lowers: [lower], args: [...host.args, "--policy", file, ...args] });
  return { mount, policyFile: file };
}

/** The contents of `a` and `b`, or their errors. */
async function lookInto(actor: Actor, { mount }: Mounted): Promise<unknown[]> {
  return [await actor.do("contents", mount.path("a")), await actor.do("contents", mount.path("b"))];
}

function onlyProcess(host: HostService): number {
  const pids = host.children().map(({ pid }) => pid);
  expect(pids).toHaveLength(1);
  return pids[0] as number;
}

async function killed(host: HostService): Promise<void> {
  const [process_] = host.children();
  if (process_ === undefined) throw new Error("there is no decision process");
  process.kill(process_.pid, "SIGKILL");
  await eventually("it has ended", PATIENCE_MS, () => !isAlive(process_));
}

test("an edit, a mistake and the removal of one policy do not reach the others of its process", async () => {
  const host = await startHostService();
  const [one, other] = [await mounted(host, denying("a")), await mounted(host, denying("b"))];
  const pid = onlyProcess(host);
  const actor = await Actor.start();
  expect(await lookInto(actor, one)).toEqual([DENIED, "b"]);
  expect(await lookInto(actor, other)).toEqual(["a", DENIED]);
  writeFileSync(one.policyFile, denying("b"));
  expect(await lookInto(actor, one)).toEqual(["a", DENIED]);
  writeFileSync(one.policyFile, "version: 1\ndefault: sometimes\n");
  expect(await lookInto(actor, one)).toEqual(["a", DENIED]);
  writeFileSync(other.policyFile, denying("a"));
  expect(await lookInto(actor, other)).toEqual([DENIED, "b"]);
  rmSync(one.policyFile);
  expect(await lookInto(actor, one)).toEqual(["a", DENIED]);
  writeFileSync(one.policyFile, denying("a"));
  expect(await lookInto(actor, one)).toEqual([DENIED, "b"]);
  expect(await lookInto(actor, other)).toEqual([DENIED, "b"]);
  expect(onlyProcess(host)).toBe(pid);
});

test("a policy with a mistake is no mount, and the process goes on", async () => {
  const host = await startHostService();
  const one = await mounted(host, denying("a"));
  const pid = onlyProcess(host);
  await expect(mounted(host, "version: 1\ndefault: sometimes\n")).rejects.toThrow("'default' is none of");
  expect(onlyProcess(host)).toBe(pid);
  expect(await lookInto(await Actor.start(), one)).toEqual([DENIED, "b"]);
});

test("a policy whose last mount ends gives its descriptors back, and the last of all ends the process", async () => {
  const host = await startHostService();
  const one = await mounted(host, denying("a"));
  const pid = onlyProcess(host);
  const actor = await Actor.start();
  expect(await lookInto(actor, one)).toEqual([DENIED, "b"]);
  const before = openDescriptors(pid).length;
  const other = await mounted(host, denying("b"));
  expect(await lookInto(actor, other)).toEqual(["a", DENIED]);
  expect(openDescriptors(pid).length).toBeGreaterThan(before);
  await other.mount.stop();
  await expect.poll(() => openDescriptors(pid).length).toBe(before);
  expect(await lookInto(actor, one)).toEqual([DENIED, "b"]);
  expect(onlyProcess(host)).toBe(pid);
  await one.mount.stop();
  await expect.poll(() => host.children()).toEqual([]);
});

test("log lines and decisions of a policy are in its own files alone", async () => {
  const host = await startHostService();
  const actor = await Actor.start();
  const all = [];
  for (const name of ["a", "b"]) {
    const [log, decisions] = [join(scratch(), "mount.log"), join(scratch(), "decisions.log")];
    const made = await mounted(host, denying(name), ["--log-file", log, "--decision-log", decisions]);
    await lookInto(actor, made);
    all.push({ ...made, log, decisions, rule: `no-${name}` });
  }
  onlyProcess(host);
  for (const { mount, log, decisions, rule, policyFile } of all) {
    await mount.stop();
    const rules = readFileSync(decisions, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { result: { rule: string } });
    expect(new Set(rules.map(({ result }) => result.rule))).toEqual(new Set([rule, "default"]));
    const text = readFileSync(log, "utf8");
    expect(text).toMatch(/"name":"sluice-decision".*decision service listens/);
    expect(all.filter((each) => text.includes(each.policyFile)).every((each) => each.policyFile === policyFile)).toBe(true);
  }
});

test("opens under every policy of a process fail closed while it hangs, and hold again when it goes on", async () => {
  const host = await startHostService();
  const all = [
    await mounted(host, denying("a"), ["--decision-timeout", "500ms"]),
    await mounted(host, denying("b"), ["--decision-timeout", "500ms"]),
  ];
  const pid = onlyProcess(host);
  const actor = await Actor.start();
  for (const each of all) await lookInto(actor, each);
  process.kill(pid, "SIGSTOP");
  try {
    for (const [at, each] of all.entries()) expect((await lookInto(actor, each))[at]).toBe(DENIED);
  } finally {
    process.kill(pid, "SIGCONT");
  }
  const [one, other] = all as [Mounted, Mounted];
  await eventually("the first policy answers", PATIENCE_MS, async () => (await lookInto(actor, one))[1] === "b");
  await eventually("the other answers", PATIENCE_MS, async () => (await lookInto(actor, other))[0] === "a");
});

test("after SIGKILL of their process each mount has its own policy again", async () => {
  const host = await startHostService();
  const [one, other] = [await mounted(host, denying("a")), await mounted(host, denying("b"))];
  const before = onlyProcess(host);
  const actor = await Actor.start();
  await killed(host);
  // Opens wait for the next process.
  expect(await lookInto(actor, one)).toEqual([DENIED, "b"]);
  expect(await lookInto(actor, other)).toEqual(["a", DENIED]);
  expect(onlyProcess(host)).not.toBe(before);
  writeFileSync(other.policyFile, denying("a"));
  expect(await lookInto(actor, other)).toEqual([DENIED, "b"]);
});

test("policies whose process ends again and again are divided between two", async () => {
  const host = await startHostService();
  const [one, other] = [await mounted(host, denying("a")), await mounted(host, denying("b"))];
  const actor = await Actor.start();
  for (let kill = 0; kill < 2; kill++) {
    await killed(host);
    expect(await lookInto(actor, one)).toEqual([DENIED, "b"]);
    expect(await lookInto(actor, other)).toEqual(["a", DENIED]);
  }
  expect(host.children()).toHaveLength(2);
  await one.mount.stop();
  expect(await lookInto(actor, other)).toEqual(["a", DENIED]);
  await expect.poll(() => host.children().length).toBe(1);
});

test("a process answers for sixteen policies, and the next one has another", async () => {
  const host = await startHostService();
  const client = new wire.HostServiceClient(`unix://${host.socket}`, credentials.createInsecure());
  cleanUp(() => client.close());
  const directory = scratch();
  const mountpoints: string[] = [];
  for (let number = 0; number < 17; number++) {
    const [policy, lower, mountpoint] = ["policy", "lower", "merged"].map((name) => join(directory, `${name}-${number}`)) as [
      string,
      string,
      string,
    ];
    writeFileSync(policy, denying("a"));
    for (const each of [lower, mountpoint]) mkdirSync(each);
    writeFileSync(join(lower, "a"), "a");
    const call = client.mount();
    const options = Object.entries({ lower, policy }).map(([name, value]) => ({ name, values: [value] }));
    call.write({
      message: {
        $case: "begin",
        value: { mountpoint, options, directory: "/", attached: false, abandonedAtEnd: false, mountNamespace: 0 },
      },
    });
    call.end();
    for await (const { message } of call as AsyncIterable<wire.MountResponse>) expect(message?.$case).not.toBe("ended");
    mountpoints.push(mountpoint);
    expect(host.children()).toHaveLength(number < 16 ? 1 : 2);
  }
  const actor = await Actor.start();
  for (const mountpoint of mountpoints) expect(await actor.do("contents", join(mountpoint, "a"))).toBe(DENIED);
  const end = (mountpoint: string): Promise<unknown> =>
    new Promise((resolve) => client.endMount({ mountpoint, force: false }, (error, response) => resolve(error ?? response)));
  expect(await end(mountpoints.at(-1) ?? "")).toEqual({ failure: undefined });
  await expect.poll(() => host.children().length).toBe(1);
});

test("a policy that another user controls has a process without those of root", async () => {
  const host = await startHostService();
  const home = join(scratch(), "home");
  mkdirSync(home);
  const theirs = join(home, "policy.yaml");
  writeFileSync(theirs, denying("b"));
  for (const path of [home, theirs]) chownSync(path, 1_000, 1_000);
  const one = await mounted(host, denying("a"));
  const their = await mounted(host, "", [], theirs);
  expect(host.children()).toHaveLength(2);
  await mounted(host, denying("b"));
  expect(host.children()).toHaveLength(2);
  const actor = await Actor.start();
  expect(await lookInto(actor, one)).toEqual([DENIED, "b"]);
  expect(await lookInto(actor, their)).toEqual(["a", DENIED]);
});
