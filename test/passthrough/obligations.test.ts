/** Obligations on a real mount: each is in force where the rule says, and an obligation that cannot be enforced denies. */
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  Actor,
  eventually,
  grantsOf,
  layers,
  mountSluice,
  mountsShareProcess,
  publicFile,
  requires,
  scratch,
  startScript,
  statusOf,
} from "@sluice/testkit";
import { Errno, FALLOC, O } from "@sluice/vfs";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");
const { test: withPython } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough", "command python3");

const rule = (name: string, obligations: string, more = ""): string =>
  `  - { name: ${name}, path: "${name}/**", effect: mediate, obligations: { ${obligations} }${more} }\n`;
const POLICY = `version: 1
default: grant
rules:
${rule("audited", "audit: each-io")}${rule("short", "maxSizeBytes: 16")}${rule("fixed", "readOnly: true")}${rule("slow", "readBytesPerSecond: 100000")}`;

async function staged(policy = POLICY, args: string[] = []) {
  const names = ["audited", "short", "fixed", "slow", "free"];
  const { lower, upper } = layers({ upper: Object.fromEntries(names.map((name) => [`${name}/f`, publicFile("0123456789")])) });
  const mount = await mountSluice({ lowers: [lower], upper, policy, args });
  return { mount, actor: await Actor.start(), at: (name: string) => mount.path(name, "f"), upper };
}

test("audit: records each read and write, however it is made", async () => {
  const logFile = join(scratch(), "log");
  const { mount, actor, at } = await staged(POLICY, ["--log-file", logFile]);
  const fd = await actor.do("open", at("audited"), O.RDWR);
  expect(await actor.do("read", fd, 4, 2)).toBe("2345");
  expect(await actor.do("write", fd, "abc", 10)).toBe(3);
  expect(await actor.do("ftruncate", fd, 5)).toBe(0);
  expect(await actor.do("syscall", "copy", at("audited"), at("free"))).toBe(5);
  expect(await actor.do("map", fd, 5, false)).toBe(-Errno.ENODEV);
  expect(await actor.do("syscall", "mapprivate", at("audited"))).toBe("0".charCodeAt(0));
  await actor.stop();
  await mount.stop();
  const told = readFileSync(logFile, "utf8")
    .split("\n")
    .filter((line) => line.includes('"audit":true'))
    .map((line) => JSON.parse(line) as { path: string; kind: string; offset: number; bytes: number; rule: string; pid: number });
  expect(told.every(({ path, rule: by, pid }) => path === "audited/f" && by === "audited" && pid > 0)).toBe(true);
  const shown = told.map(({ kind, offset, bytes }) => `${kind} ${bytes} at ${offset}`);
  expect(shown.slice(0, 4)).toEqual(["read 4 at 2", "write 3 at 10", "truncate 0 at 5", "read 5 at 0"]);
  expect(shown.at(-1)).toBe("read 5 at 0");
});

for (const level of ["warn", "silent"]) {
  test(`audit: no transfer is missing with --log-level ${level}`, async () => {
    const logFile = join(scratch(), "log");
    const { mount, actor, at } = await staged(POLICY, ["--log-file", logFile, "--log-level", level]);
    const fd = await actor.do("open", at("audited"), O.RDONLY);
    expect(await actor.do("read", fd, 4, 2)).toBe("2345");
    await actor.stop();
    await mount.stop();
    const lines = readFileSync(logFile, "utf8").trim().split("\n");
    expect(lines.filter((line) => line.includes('"kind":"read"'))).toHaveLength(1);
    expect(lines.some((line) => line.includes('"level":30') && !line.includes('"audit":true'))).toBe(false);
  });
}

/** Opens the file, maps it, reads its first byte through the mapping on each command, and sends it by sendfile(2). */
const MAPPER = `
import mmap, os, sys
os.setuid(int(sys.argv[2]))
fd = os.open(sys.argv[1], os.O_RDONLY)
mapping = mmap.mmap(fd, 10, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
ends = os.pipe()
print("mapped", flush=True)
for line in sys.stdin:
    if line == "look\\n": print("saw " + chr(mapping[0]), flush=True)
    if line == "send\\n": print("sent", os.sendfile(ends[1], fd, 0, 10), flush=True)
`;

withPython("audit: a private mapping and sendfile do not find pages that another open loaded", async () => {
  const logFile = join(scratch(), "log");
  const OBSERVED = 2002;
  const one = rule("audited", "audit: each-io", `, subject: { uid: [0, ${OBSERVED}] }`);
  const { lower, upper } = layers({ upper: { "audited/f": publicFile("0123456789") } });
  const args = ["--log-file", logFile];
  const mount = await mountSluice({ lowers: [lower], upper, policy: `version: 1\ndefault: mediate\nrules:\n${one}`, args });
  const path = mount.path("audited", "f");
  const program = join(scratch(), "mapper.py");
  writeFileSync(program, MAPPER);
  const mappers = [0, OBSERVED].map((uid) => startScript(["python3", program, path, String(uid)]));
  for (const mapper of mappers) await mapper.waitFor("mapped");
  const mediated = await Actor.start(2001);
  expect(await mediated.do("contents", path)).toBe("0123456789");
  const fd = await mediated.do("open", path, O.RDONLY);
  expect(await mediated.do("read", fd, 10, 0)).toBe("0123456789");
  const told = (): number => readFileSync(logFile, "utf8").split('"kind":"read"').length - 1;
  let before = 0;
  for (const [index, look] of ["look", "send"].entries()) {
    const mapper = mappers[index] as (typeof mappers)[number];
    mapper.write(`${look}\n`);
    await mapper.waitFor(index === 0 ? "saw 0" : "sent 10");
    expect(told(), look).toBe(++before);
  }
  for (const mapper of mappers) mapper.kill();
  await Promise.all(mappers.map(({ finished }) => finished));
  await mediated.stop();
  await mount.stop();
});

test("maxSizeBytes: no call makes the file longer, and data within the limit is written", async () => {
  const { mount, actor, at, upper } = await staged();
  const path = at("short");
  const fd = await actor.do("open", path, O.RDWR);
  expect(await actor.do("syscall", "pwrite-once", path, 12, 10)).toBe(4);
  expect(await actor.do("write", fd, "x", 16)).toBe(-Errno.EFBIG);
  expect(await actor.do("ftruncate", fd, 17)).toBe(-Errno.EFBIG);
  expect(await actor.do("ftruncate", fd, 12)).toBe(0);
  expect(await actor.do("syscall", "fallocate", path, 0, 0, 17)).toBe(-Errno.EFBIG);
  const appender = await actor.do("open", path, O.WRONLY | O.APPEND);
  expect(await actor.do("append", appender, "12345")).toBe(4);
  expect(await actor.do("append", appender, "6")).toBe(-Errno.EFBIG);
  expect(await actor.do("syscall", "copy", at("free"), path)).toBe(10);
  expect(statSync(join(upper, "short/f")).size).toBe(16);
  // A call by name has no handle to bind to the obligation: it is refused.
  expect(await actor.do("syscall", "truncate", path, 100)).toBe(-Errno.EACCES);
  await actor.stop();
  await mount.stop();
});

test("readOnly: reads continue, and every way of writing is EROFS", async () => {
  const { mount, actor, at, upper } = await staged();
  const path = at("fixed");
  expect(await actor.do("contents", path)).toBe("0123456789");
  for (const flags of [O.WRONLY, O.RDWR, O.RDONLY | O.TRUNC]) expect(await actor.do("open", path, flags)).toBe(-Errno.EROFS);
  expect(await actor.do("open", mount.path("fixed", "new"), O.CREAT | O.WRONLY)).toBe(-Errno.EROFS);
  expect(await actor.do("syscall", "truncate", path, 1)).toBe(-Errno.EROFS);
  for (const at of [path, `/proc/self/fd/${await actor.do("open", path, O.RDONLY)}`])
    expect(await actor.do("chmod", at, 0o600)).toBe(-Errno.EROFS);
  expect(await actor.do("setxattr", path, "user.a", "b")).toBe(-Errno.EROFS);
  expect(await actor.do("unlink", path)).toBe(-Errno.EROFS);
  expect(readFileSync(join(upper, "fixed/f"), "utf8")).toBe("0123456789");
  await actor.stop();
  await mount.stop();
});

test("a rate: a reader beyond it waits, and can be interrupted", async () => {
  const { mount, actor, at } = await staged();
  expect(await actor.do("open", at("slow"), O.RDONLY)).toBeGreaterThan(0);
  expect(await actor.do("syscall", "truncate", at("slow"), 3_000_000)).toBe(0);
  const fd = await actor.do("open", at("slow"), O.RDONLY);
  const started = performance.now();
  expect(await actor.do("readHash", fd, 300_000, 0)).toMatch(/^[0-9a-f]{64}$/);
  // One second's worth may pass at once: 200,000 bytes more take two seconds. The rule promises this bound.
  expect(performance.now() - started).toBeGreaterThan(1_900);
  const other = await Actor.start();
  const again = await other.do("open", at("slow"), O.RDONLY);
  const waits = other.do("readHash", again, 3_000_000, 0);
  await eventually("it waits", 30_000, async () => (await statusOf(mount)).engine.inFlight > 0);
  other.kill("SIGKILL");
  await other.exit;
  await waits;
  await eventually("nobody waits any more", 30_000, async () => (await statusOf(mount)).engine.inFlight === 0);
  await actor.stop();
  await mount.stop();
});

/**
 * Tells which handles share a rate: one of them owes more than anybody waits for, and every handle of that rate waits behind
 * it.
 */
test("ratePer: a rate belongs to one handle, one user or the whole rule", async () => {
  const shares = ["handle", "subject", "rule"];
  const rules = shares.map((share) => rule(share, `readBytesPerSecond: 10, ratePer: ${share}`));
  const { lower, upper } = layers({ upper: Object.fromEntries(shares.map((share) => [`${share}/f`, publicFile("x".repeat(4_000))])) });
  const mount = await mountSluice({ lowers: [lower], upper, policy: `version: 1\ndefault: grant\nrules:\n${rules.join("")}` });
  const opened = async (share: string, uid: number): Promise<{ actor: Actor; read(length: number): Promise<unknown> }> => {
    const actor = await Actor.start(uid);
    const fd = await actor.do("open", mount.path(share, "f"), O.RDONLY);
    expect(fd).toBeGreaterThan(0);
    return { actor, read: (length) => actor.do("read", fd, length, 0) };
  };
  let waiting = 0;
  const waits = async (by: { read(length: number): Promise<unknown> }, length: number): Promise<void> => {
    waiting++;
    void by.read(length);
    await eventually("it waits", 30_000, async () => (await statusOf(mount)).engine.inFlight === waiting);
  };
  const passes = async (by: { read(length: number): Promise<unknown> }): Promise<void> => expect(await by.read(4)).toBe("xxxx");
  const actors: Actor[] = [];
  for (const share of shares) {
    const [debtor, same, other] = [await opened(share, 0), await opened(share, 0), await opened(share, 1000)];
    actors.push(debtor.actor, same.actor, other.actor);
    await waits(debtor, 4_000);
    await (share === "handle" ? passes(same) : waits(same, 4));
    await (share === "rule" ? waits(other, 4) : passes(other));
  }
  // Nothing got through meanwhile.
  expect((await statusOf(mount)).engine.inFlight).toBe(waiting);
  for (const actor of actors) await actor.stop();
  await mount.stop();
}, 120_000);

test("opens for reading, for writing and for both share the rates of the rules that decide them", async () => {
  const half = (name: string, access: string): string =>
    `  - { name: ${name}, path: "free/**", access: [${access}], effect: mediate, obligations: { ${access}BytesPerSecond: 10 } }\n`;
  const { mount, actor, at, upper } = await staged(`version: 1\ndefault: grant\nrules:\n${half("r", "read")}${half("w", "write")}`);
  writeFileSync(join(upper, "free/f"), "x".repeat(4_000));
  const actors = await Promise.all([1, 2, 3].map(() => Actor.start()));
  const [reader, writer, both] = actors as [Actor, Actor, Actor];
  const fds = [
    await reader.do("open", at("free"), O.RDONLY),
    await writer.do("open", at("free"), O.WRONLY),
    await both.do("open", at("free"), O.RDWR),
    await actor.do("open", at("free"), O.RDWR),
  ];
  expect(fds.every((fd) => fd > 0)).toBe(true);
  let waiting = 0;
  const waits = async (transfer: Promise<unknown>): Promise<void> => {
    waiting++;
    void transfer;
    await eventually("it waits", 30_000, async () => (await statusOf(mount)).engine.inFlight === waiting);
  };
  // Each owes more than anybody waits for, and the open for both waits behind it.
  await waits(writer.do("write", fds[1], "x".repeat(4_000), 0));
  await waits(both.do("write", fds[2], "x", 0));
  await waits(reader.do("read", fds[0], 4_000, 0));
  await waits(actor.do("read", fds[3], 1, 0));
  await sleep(100);
  expect((await statusOf(mount)).engine.inFlight).toBe(waiting);
  for (const each of actors) await each.stop();
  await actor.stop();
  await mount.stop();
});

test("a rate limits copies at both ends, and allocations; closing and reopening gains nothing", async () => {
  const rules = rule("from", "readBytesPerSecond: 64") + rule("to", "writeBytesPerSecond: 64");
  const { lower, upper } = layers({
    upper: Object.fromEntries(["from", "to", "free"].map((name) => [`${name}/f`, publicFile("x".repeat(64))])),
  });
  const mount = await mountSluice({ lowers: [lower], upper, policy: `version: 1\ndefault: grant\nrules:\n${rules}` });
  const actor = await Actor.start();
  const [from, to, free] = ["from", "to", "free"].map((name) => mount.path(name, "f")) as [string, string, string];
  const took = async (...commands: unknown[][]): Promise<number> => {
    const started = performance.now();
    // Each process opens and closes its files.
    for (const command of commands) expect(await actor.do("syscall", ...command)).toBeGreaterThanOrEqual(0);
    return performance.now() - started;
  };
  // 192 bytes, of which one second's worth passes at once. The rules promise these bounds.
  expect(await took(["copy", from, free], ["copy", from, free], ["copy", from, free])).toBeGreaterThan(1_950);
  expect(await took(["copy", free, to], ["copy", free, to], ["fallocate", to, 0, 0, 64])).toBeGreaterThan(1_950);
  await actor.stop();
  await mount.stop();
});

test("a rate counts space that is reserved behind the end of the file", async () => {
  const { mount, actor, at } = await staged(`version: 1\ndefault: grant\nrules:\n${rule("slow", "writeBytesPerSecond: 64")}`);
  const started = performance.now();
  expect(await actor.do("syscall", "fallocate", at("slow"), FALLOC.KEEP_SIZE, 4096, 192)).toBe(0);
  // One second's worth may pass at once.
  expect(performance.now() - started).toBeGreaterThan(1_950);
  await actor.stop();
  await mount.stop();
});

test("a rate counts the bytes that a read finds, however many there is room for", async () => {
  const { mount, actor, at } = await staged(`version: 1\ndefault: grant\nrules:\n${rule("slow", "readBytesPerSecond: 100")}`);
  const fd = await actor.do("open", at("slow"), O.RDONLY);
  // With a wait for each of these bytes, the test would reach its limit.
  for (const offset of [0, 4, 10, 2_000]) expect(await actor.do("read", fd, 1_000_000, offset)).toBe("0123456789".slice(offset));
  await actor.stop();
  await mount.stop();
});

test("maxSizeBytes: appends of several processes at the same time make the file no longer", async () => {
  const { mount, actor, at, upper } = await staged();
  const path = at("short");
  const fd = await actor.do("open", path, O.RDWR);
  const appenders = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const appender = await Actor.start();
      return { appender, own: await appender.do("open", path, O.WRONLY | O.APPEND) };
    }),
  );
  for (let round = 0; round < 40; round++) {
    expect(await actor.do("ftruncate", fd, 8)).toBe(0);
    await Promise.all(appenders.map(({ appender, own }) => appender.do("append", own, "12345")));
    expect(statSync(join(upper, "short/f")).size).toBe(16);
  }
  for (const { appender } of appenders) await appender.stop();
  await actor.stop();
  await mount.stop();
});

test("maxSizeBytes: an append beside extensions by other opens makes the file no longer", async () => {
  const limit = 1 << 20;
  const { mount, actor, at, upper } = await staged(`version: 1\ndefault: grant\nrules:\n${rule("short", `maxSizeBytes: ${limit}`)}`);
  const path = at("short");
  const fd = await actor.do("open", path, O.RDWR);
  const appenders = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const appender = await Actor.start();
      return { appender, own: await appender.do("open", path, O.WRONLY | O.APPEND) };
    }),
  );
  const chunk = "x".repeat(100_000);
  for (let round = 0; round < 40; round++) {
    expect(await actor.do("ftruncate", fd, round * 1_000)).toBe(0);
    const appends = appenders.map(({ appender, own }) => appender.do("append", own, chunk));
    await appends[round % appends.length];
    await Promise.all([actor.do("ftruncate", fd, limit), ...appends]);
    expect(statSync(join(upper, "short/f")).size).toBe(limit);
  }
  for (const { appender } of appenders) await appender.stop();
  await actor.stop();
  await mount.stop();
});

test("expiresAfter: judges an open again, and refuses or allows it as the policy says by then", async () => {
  const expiring = (effect: string): string =>
    `version: 1\ndefault: grant\nrules:\n  - { name: brief, path: "free/**", effect: ${effect} }\n`;
  const mediate = expiring("mediate, obligations: { expiresAfter: 50ms }");
  const { mount, actor, at } = await staged(mediate);
  const fd = await actor.do("open", at("free"), O.RDONLY);
  expect(await actor.do("read", fd, 4, 0)).toBe("0123");
  const edit = (text: string): void => writeFileSync(mount.policyFile as string, text);
  edit(expiring("deny"));
  await eventually("the read is refused", 30_000, async () => (await actor.do("read", fd, 4, 0)) === -Errno.EACCES);
  edit(mediate);
  await eventually("the read is allowed", 30_000, async () => (await actor.do<unknown>("read", fd, 4, 0)) === "0123");
  await actor.stop();
  await mount.stop();
});

test("expiresAfter: judges an open again by the names that the file has by then", async () => {
  const rules = `${rule("free", "expiresAfter: 50ms", ", access: [read]")}  - { name: locked, path: "fixed/**", access: [read, write], effect: deny }\n`;
  const { mount, actor, at } = await staged(`version: 1\ndefault: grant\nrules:\n${rules}`);
  const fd = await actor.do("open", at("free"), O.RDONLY);
  expect(await actor.do("read", fd, 4, 0)).toBe("0123");
  expect(await actor.do("rename", at("free"), mount.path("fixed", "moved"))).toBe(0);
  await eventually("the read is refused", 30_000, async () => (await actor.do("read", fd, 4, 0)) === -Errno.EACCES);
  await actor.stop();
  await mount.stop();
});

test("changed terms of a policy apply to open files at once, and to throttled requests", async () => {
  const logFile = join(scratch(), "log");
  const terms = (obligations: string): string =>
    `version: 1\ndefault: grant\nrules:\n  - { name: changing, path: "free/**", effect: mediate${obligations} }\n`;
  const { mount, actor, at } = await staged(terms(", obligations: { readBytesPerSecond: 1 }"), ["--log-file", logFile]);
  const edit = (obligations: string): void => writeFileSync(mount.policyFile as string, terms(obligations));
  const fd = await actor.do("open", at("free"), O.RDWR);
  const waits = actor.do("read", fd, 10, 0);
  await eventually("it waits", 30_000, async () => (await statusOf(mount)).engine.inFlight > 0);
  edit(", obligations: { audit: each-io }");
  expect(await waits).toBe("0123456789");
  expect(readFileSync(logFile, "utf8")).toContain('"audit":true');
  edit(", obligations: { maxSizeBytes: 12 }");
  await eventually("the file may not grow", 30_000, async () => (await actor.do("write", fd, "x", 12)) === -Errno.EFBIG);
  const told = readFileSync(logFile, "utf8").split('"audit":true').length;
  expect(await actor.do("write", fd, "ab", 10)).toBe(2);
  edit("");
  await eventually("the file may grow again", 30_000, async () => (await actor.do("write", fd, "c", 12)) === 1);
  expect(readFileSync(logFile, "utf8").split('"audit":true').length).toBe(told);
  expect(await actor.do("read", fd, 20, 0)).toBe("0123456789abc");
  await actor.stop();
  await mount.stop();
});

test("a transfer that waits for its rate is refused when its open is revoked", async () => {
  const slow = (effect: string): string => `version: 1\ndefault: grant\nrules:\n  - { name: slow, path: "free/**", effect: ${effect} }\n`;
  const { mount, actor, at } = await staged(slow("mediate, obligations: { readBytesPerSecond: 1 }"));
  const fd = await actor.do("open", at("free"), O.RDONLY);
  // A longer time than anybody waits for.
  const waits = actor.do("read", fd, 10, 0);
  await eventually("it waits", 30_000, async () => (await statusOf(mount)).engine.inFlight > 0);
  writeFileSync(mount.policyFile as string, slow("deny"));
  expect(await waits).toBe(-Errno.EACCES);
  await actor.stop();
  await mount.stop();
});

test("a copy that waits for its target's rate is refused when its source is revoked", async () => {
  const edited = (from: string, rate: string): string =>
    `version: 1\ndefault: grant\nrules:\n${rule("slow", rate)}  - { name: from, path: "free/**", effect: ${from} }\n`;
  const { mount, actor, at, upper } = await staged(edited("mediate", "writeBytesPerSecond: 1"));
  writeFileSync(join(upper, "slow/f"), "");
  // Its copy must not be done before the revocation, however long that takes.
  writeFileSync(join(upper, "free/f"), "0123456789".repeat(60));
  const copied = actor.do("syscall", "copy", at("free"), at("slow"));
  const inFlight = async (): Promise<boolean> => (await statusOf(mount)).engine.inFlight > 0;
  // Its opens are in flight before, for a moment: they would be denied instead.
  await eventually("it waits", 30_000, async () => (await inFlight()) && (await sleep(1_000, true)) && (await inFlight()));
  writeFileSync(mount.policyFile as string, edited("deny", "writeBytesPerSecond: 1"));
  const refused = async (): Promise<number> => ((await mount.status()) as { revocation: { refused: number } }).revocation.refused;
  await eventually("its source is refused", 30_000, async () => (await refused()) === 1);
  writeFileSync(mount.policyFile as string, edited("deny", "writeBytesPerSecond: 1000000"));
  expect(await copied).toBe(-Errno.EACCES);
  expect(readFileSync(join(upper, "slow/f"), "utf8")).toBe("");
  await actor.stop();
  await mount.stop();
});

test("denies a grant, and an access without an open, if an obligation cannot be enforced", async () => {
  const grant =
    'version: 1\ndefault: grant\nrules:\n  - { name: g, path: "free/**", effect: grant, obligations: { audit: each-io } }\n' +
    '  - { name: d, path: "slow/**", access: delete, effect: mediate, obligations: { audit: each-io } }\n';
  const { mount, actor, at } = await staged(grant);
  expect(await actor.do("open", at("free"), O.RDONLY)).toBe(-Errno.EACCES);
  expect(await actor.do("unlink", at("slow"))).toBe(-Errno.EACCES);
  expect(await grantsOf(mount)).toEqual([]);
  await actor.stop();
  await mount.stop();
});
