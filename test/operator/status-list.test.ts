/** `sluice status` without a mount point beside two mounts: a line for each, also for one whose server does not answer. */
import { Actor, mountsShareProcess, mountSluice, plant, policyOf, publicFile, requires, runSluice, scratch } from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

interface Listed {
  name: string;
  mountpoint: string;
  policy: { policyId: string; summary: string } | null;
  replicas: { ready: number; known: number };
  openFiles: number;
  denialsLastMinute: number;
  problem?: string;
}

async function listed(mountpoint: string): Promise<Listed | undefined> {
  const { code, stdout, stderr } = await runSluice(["status", "--json"]);
  expect([code, stderr]).toEqual([0, ""]);
  return (JSON.parse(stdout) as Listed[]).find((mount) => mount.mountpoint === mountpoint);
}

const lineOf = (stdout: string, mountpoint: string): string | undefined =>
  stdout.split("\n").find((line) => line.startsWith(`${mountpoint} `));

test("lists each mount with its policy, replicas, open files and denials of the last minute", async () => {
  const lower = plant(scratch(), { a: publicFile("a"), "k.pem": publicFile("k") });
  const policy = policyOf("grant", { name: "keys", path: "**/*.pem", effect: "deny" });
  const asked = await mountSluice({ lowers: [lower], policy, args: ["--name", "asked"] });
  const free = await mountSluice({ lowers: [lower] });
  const actor = await Actor.start();
  await actor.do("open", asked.path("a"), 0);
  for (let round = 0; round < 3; round++) await actor.do("contents", asked.path("k.pem"));
  // A server that takes long to answer is listed without its numbers.
  await expect
    .poll(() => listed(asked.mountpoint))
    .toMatchObject({
      name: "asked",
      policy: { policyId: "policy.yaml", summary: "1 rule, default grant" },
      replicas: { ready: 1, known: 1 },
      openFiles: 1,
      denialsLastMinute: 3,
    });
  const { stdout } = await runSluice(["status"]);
  expect(stdout).toMatch(/^MOUNT POINT +NAME +UP +POLICY +REPLICAS +OPEN FILES +DENIED\/MIN\n/);
  expect(lineOf(stdout, asked.mountpoint)).toMatch(/ asked +\d+ s +policy\.yaml \(1 rule, default grant\) +1 of 1 ready +1 +3$/);
  expect(lineOf(stdout, free.mountpoint)).toMatch(/ \d+ s +none +- +0 +0$/);
  await actor.stop();
  await asked.stop();
  await free.stop();
});

test("tells that the name of a decision service cannot be resolved", async () => {
  const lower = plant(scratch(), { a: publicFile("a") });
  const mount = await mountSluice({ lowers: [lower], args: ["--decision", "no-such-name.invalid:4000"] });
  const { stdout } = await runSluice(["status", mount.mountpoint]);
  expect(stdout).toMatch(/^decider +no-such-name\.invalid:4000, outage; on outage: deny\n +getaddrinfo \w+ no-such-name\.invalid$/m);
  expect(lineOf((await runSluice(["status"])).stdout, mount.mountpoint)).toMatch(/ not known yet +none found +0 +0$/);
  await mount.stop();
});

test("lists a mount whose server is stopped, with the reason why it tells nothing, and the others", async () => {
  const lower = plant(scratch(), { a: publicFile("a") });
  const stopped = await mountSluice({ lowers: [lower], ownProcess: true });
  const other = await mountSluice({ lowers: [lower] });
  process.kill(stopped.serverPid, "SIGSTOP");
  try {
    expect((await listed(stopped.mountpoint))?.problem).toBe("the daemon does not answer (ETIMEDOUT)");
    expect((await listed(other.mountpoint))?.openFiles).toBe(0);
    expect(lineOf((await runSluice(["status"])).stdout, stopped.mountpoint)).toContain("no answer: the daemon does not answer (ETIMEDOUT)");
  } finally {
    process.kill(stopped.serverPid, "SIGCONT");
  }
  await stopped.stop();
  await other.stop();
});

test("refuses --control without a mount point", async () => {
  const { code, stderr } = await runSluice(["status", "--control", "/nowhere"]);
  expect([code, stderr]).toEqual([2, "sluice: --control: it belongs to one mount: name the mount point, too\n"]);
});
