/** The embedded decision service: its user, its open files, and the processes that may reach it. */
import { once } from "node:events";
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { mountSluice, plant, policyOf, requires, runScript, scratch, type SluiceMount } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const POLICY = policyOf("grant");
const SLUICE = fileURLToPath(new URL("../../../packages/cli/bin/sluice.cjs", import.meta.url));

async function mounted(args: readonly string[] = []): Promise<{ mount: SluiceMount; pid: number }> {
  const mount = await mountSluice({ lowers: [plant(scratch(), { f: "lower" })], policy: POLICY, args });
  const pid = mount.decisionPid;
  if (pid === undefined) throw new Error("there is no decision service");
  return { mount, pid };
}

function idsOf(pid: number | string, kind: "Uid" | "Gid"): number[] {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return (new RegExp(`^${kind}:\\s+(.*)$`, "m").exec(status)?.[1] ?? "").split("\t").map(Number);
}

function othersWith(uid: number, pid: number): string[] {
  return readdirSync("/proc").filter((other) => {
    if (!/^\d+$/.test(other) || Number(other) === pid) return false;
    try {
      return idsOf(other, "Uid").includes(uid);
    } catch {
      return false; // the process ended
    }
  });
}

test("the decision service has a uid that no other process and no other mount has", async () => {
  const [first, second] = [await mounted(), await mounted()];
  const uids = [first, second].map(({ pid }) => {
    const [uid = 0, ...others] = idsOf(pid, "Uid");
    expect(others).toEqual([uid, uid, uid]);
    expect(idsOf(pid, "Gid")).toEqual([uid, uid, uid, uid]);
    expect(uid).toBeGreaterThanOrEqual(61_184);
    expect(uid).toBeLessThanOrEqual(65_519);
    expect(othersWith(uid, pid)).toEqual([]);
    return uid;
  });
  expect(new Set(uids).size).toBe(2);
  for (const { mount } of [first, second]) {
    expect(await mount.status()).toMatchObject({ decider: { unprotected: null } });
    expect((await mount.stop()).code).toBe(0);
  }
});

test("a mount ends in order although somebody removed the claim of its decision service's uid", async () => {
  const { mount, pid } = await mounted();
  for (const claims of ["/run/systemd/dynamic-uid", "/run/sluice/decision-uids"])
    rmSync(join(claims, `${idsOf(pid, "Uid")[0]}`), { force: true });
  expect((await mount.stop()).code).toBe(0);
});

test("an unprivileged user cannot stop, kill or inspect the decision service", async () => {
  const { mount, pid } = await mounted();
  for (const id of [65_534, 1_000]) {
    for (const signal of ["STOP", "TERM", "0"]) {
      const { code, stderr } = await runScript(["sh", "-c", `kill -${signal} ${pid}`], { as: { uid: id, gid: id } });
      expect([code, stderr]).toEqual([1, expect.stringContaining("not permitted")]);
    }
    const looked = await runScript(["cat", `/proc/${pid}/environ`], { as: { uid: id, gid: id } });
    expect(looked.code).toBe(1);
  }
  // Root owns the /proc files of an undumpable process, so its own user reads nothing there.
  expect(statSync(`/proc/${pid}/environ`).uid).toBe(0);
  expect((await mount.stop()).code).toBe(0);
});

test("the decision service holds its socket and pipes, but not the log, and its lines are in the log", async () => {
  const log = join(scratch(), "mount.log");
  const { mount } = await mounted(["--log-file", log]);
  expect(mount.decisionFiles).toEqual([]);
  await expect.poll(() => readFileSync(log, "utf8")).toMatch(/"name":"sluice-decision".*decision service listens/);
  expect((await mount.stop()).code).toBe(0);
});

test("the decision service answers its own mount alone, not another process of root", async () => {
  const { mount } = await mounted();
  const { decider } = (await mount.status()) as { decider: { target: string } };
  const socket = connect(decider.target.replace("unix://", ""));
  socket.on("error", () => undefined);
  await once(socket, "close");
  await expect.poll(() => mount.log()).toContain("connection refused: its user or process is not allowed to ask");
  expect((await mount.stop()).code).toBe(0);
});

/** Mounts the layers of "$0" in namespaces of its own; prints the identity of its decision service, and its status. */
const SCRIPT = `
set -e
mount -t tmpfs none /mnt && mkdir /mnt/l /mnt/m && echo low > /mnt/l/a
printf 'version: 1\\ndefault: grant\\nrules:\\n  - { name: no, path: b, effect: deny }\\n' > /mnt/policy.yaml && echo secret > /mnt/l/b
eval "$PREPARE"
"$NODE" "$CLI" mount --lower /mnt/l --policy /mnt/policy.yaml --control /mnt/ctl /mnt/m > /mnt/out 2> /mnt/err &
pid=$!
for try in $(seq 600); do grep -q mounted /mnt/out && break; kill -0 $pid || break; sleep 0.1; done
cat /mnt/err >&2
cat /mnt/m/a
cat /mnt/m/b 2> /dev/null || echo denied
child=$(grep -ls "^PPid:[[:space:]]*$pid$" /proc/[0-9]*/status | cut -d / -f 3)
grep -E '^(Uid|CapPrm|CapEff|NoNewPrivs):' /proc/$child/status
"$NODE" "$CLI" status --control /mnt/ctl /mnt/m | grep 'not protected' || echo protected
kill -TERM $pid; wait $pid; echo "exit $?"
`;

async function inNamespace(unshare: readonly string[], prepare = ""): Promise<string[]> {
  const env = { NODE: process.execPath, CLI: new URL("../../../packages/cli/bin/sluice.cjs", import.meta.url).pathname, PREPARE: prepare };
  const result = await runScript(["unshare", ...unshare, "sh", "-c", SCRIPT], { env, timeoutMs: 150_000 });
  if (result.code !== 0) throw new Error(`${result.stdout}\n${result.stderr}`);
  return result.stdout.trim().split("\n");
}

const { test: inUserNamespace } = requires("/dev/fuse", "user namespaces");

inUserNamespace("if root is the only user, the service drops its capabilities, and status says that it is unprotected", async () => {
  const lines = await inNamespace(["-Urm"]);
  expect(lines).toEqual([
    "low",
    "denied",
    "Uid:\t0\t0\t0\t0",
    "CapPrm:\t0000000000000000",
    "CapEff:\t0000000000000000",
    "NoNewPrivs:\t1",
    expect.stringContaining("not protected from its own user, who may stop or signal it: its user namespace has no other user"),
    "exit 0",
  ]);
});

inUserNamespace("in a user namespace with a range of ids, the service has one of these ids", async () => {
  const lines = await inNamespace(["-Um", "--map-users", "0:0:65536", "--map-groups", "0:0:65536"]);
  const uid = Number(/^Uid:\t(\d+)/.exec(lines[2] ?? "")?.[1]);
  expect(uid).toBeGreaterThanOrEqual(61_184);
  expect(uid).toBeLessThanOrEqual(65_519);
  expect(lines.slice(-2)).toEqual(["protected", "exit 0"]);
});

test("uses the system user if it exists", async () => {
  const add =
    "cp /etc/passwd /mnt/passwd; echo sluice-decision:x:977:978::/:/bin/false >> /mnt/passwd; mount --bind /mnt/passwd /etc/passwd";
  const lines = await inNamespace(["-m"], add);
  expect(lines[2]).toBe("Uid:\t977\t977\t977\t977");
});

test("serves from a program below a directory that only root may enter", async () => {
  const repository = new URL("../../..", import.meta.url).pathname;
  const home = `mkdir -m 700 /mnt/home && mkdir /mnt/home/sluice && mount --bind ${repository} /mnt/home/sluice`;
  const lines = await inNamespace(["-m"], `${home} && CLI=/mnt/home/sluice/packages/cli/bin/sluice.cjs`);
  expect(lines.slice(0, 2)).toEqual(["low", "denied"]);
  expect(Number(/^Uid:\t(\d+)/.exec(lines[2] ?? "")?.[1])).toBeGreaterThanOrEqual(61_184);
  expect(lines.slice(-2)).toEqual(["protected", "exit 0"]);
});

test("a mount that is refused leaves no decision process behind, which begins before the layers are looked at", async () => {
  const at = scratch();
  writeFileSync(join(at, "policy.yaml"), POLICY);
  const command = [SLUICE, "mount", "--policy", join(at, "policy.yaml"), "--lower", join(at, "nowhere"), scratch()];
  const refused = await runScript(["sh", "-c", `"$0" "$@" & echo $!; wait $!; echo $?`, process.execPath, ...command]);
  const [pid = "", code] = refused.stdout.split("\n");
  expect({ code, stderr: refused.stderr }).toMatchObject({ code: "4", stderr: expect.stringContaining("nowhere") as string });
  const left = (): string[] => readdirSync("/proc").filter((other) => /^\d+$/.test(other) && wordsOf(other).includes(pid));
  await expect.poll(left).toEqual([]);
});

/** Of the command line of a process: a decision process has the pid of its mount there. */
function wordsOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0");
  } catch {
    return []; // the process ended
  }
}
