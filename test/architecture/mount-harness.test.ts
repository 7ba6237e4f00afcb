// The mount harness of the testkit on a real mount: it must serve, report, and leave nothing behind, however it ends.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  bytes,
  diffSnapshots,
  identifyProcess,
  isAlive,
  MountFailure,
  mountKernelOverlay,
  mountsBelow,
  mountSluice,
  plant,
  policyOf,
  refuseLeftMounts,
  requires,
  scratch,
  snapshot,
  statusOf,
  treeHash,
} from "@sluice/testkit";
import { expect } from "vitest";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

describe("the mounts of a test file", () => {
  test("are in a namespace of its worker, which files beside it do not see", () => {
    expect(readlinkSync("/proc/self/ns/mnt")).not.toBe(readlinkSync(`/proc/${process.ppid}/ns/mnt`));
  });

  test("fail the file by name if it leaves them behind, and are gone then", () => {
    const base = scratch();
    const left = join(base, "left");
    mkdirSync(left);
    expect(refuseLeftMounts).not.toThrow();
    execFileSync("mount", ["--bind", base, left]);
    expect(refuseLeftMounts).toThrow(`the test file left mounts behind: ${left} (`);
    expect(mountsBelow(bytes(base))).toEqual([]);
  });
});

describe("mountSluice", () => {
  test("serves the layers, answers status, and is gone after stop", async () => {
    const lower = plant(scratch(), { "a/b": "lower", c: "lower" });
    const upper = scratch();
    const before = treeHash(lower);
    const mount = await mountSluice({ lowers: [lower], upper });
    expect(readFileSync(mount.path("a/b"), "utf8")).toBe("lower");
    writeFileSync(mount.path("a/b"), "upper");
    expect(await mount.status()).toMatchObject({ mountpoint: mount.mountpoint, pid: mount.serverPid });
    expect(await mount.stop()).toEqual({ code: 0, signal: null });
    expect(mountsBelow(bytes(mount.mountpoint))).toEqual([]);
    expect(readFileSync(`${upper}/a/b`, "utf8")).toBe("upper");
    expect(treeHash(lower)).toBe(before);
  });

  test("starts a decision service for a policy, which ends with it", async () => {
    const lower = plant(scratch(), { secret: "x", open: "y" });
    const mount = await mountSluice({
      lowers: [lower],
      policy: policyOf("grant", { name: "no", path: "secret", effect: "deny" }),
    });
    const decision = identifyProcess(mount.decisionPid ?? -1);
    expect(decision).toBeDefined();
    expect(readFileSync(mount.path("open"), "utf8")).toBe("y");
    expect(() => readFileSync(mount.path("secret"))).toThrow(/EACCES/);
    await mount.stop("SIGINT");
    expect(decision && isAlive(decision)).toBe(false);
  });

  test("has mounts of a shared policy ask one decision service apart from them", async () => {
    const sharedPolicy = policyOf("grant", { name: "no", path: "secret", effect: "deny" });
    const targets = new Set<string>();
    for (let count = 0; count < 2; count++) {
      const mount = await mountSluice({ lowers: [plant(scratch(), { secret: "x", open: "y" })], sharedPolicy });
      expect(readFileSync(mount.path("open"), "utf8")).toBe("y");
      expect(() => readFileSync(mount.path("secret"))).toThrow(/EACCES/);
      expect(mount.decisionPid).toBeUndefined();
      targets.add((await statusOf(mount)).decider.target);
      await mount.stop();
    }
    expect(targets.size).toBe(1);
  });

  test("finds a mount that served while a call blocked this process for longer than it waits", async () => {
    const mountpoint = scratch();
    const mounting = mountSluice({ lowers: [plant(scratch(), { a: "1" })], mountpoint, readyMs: 1000 });
    for (let looks = 0; looks < 600 && mountsBelow(bytes(mountpoint)).length === 0; looks++) execFileSync("sleep", ["0.1"]);
    execFileSync("sleep", ["1.5"]);
    expect(readFileSync((await mounting).path("a"), "utf8")).toBe("1");
  });

  test("clears away a stopped server and a dead mount", async () => {
    const stopped = await mountSluice({ lowers: [plant(scratch(), { a: "1" })] });
    stopped.signal("SIGSTOP");
    const killed = await mountSluice({ lowers: [plant(scratch(), { a: "1" })] });
    expect(await killed.kill()).toEqual({ code: null, signal: "SIGKILL" });
    expect(mountsBelow(bytes(killed.mountpoint))).toHaveLength(1);
    killed.discardMount();
    expect(mountsBelow(bytes(killed.mountpoint))).toEqual([]);
  });

  test("says why a mount failed", async () => {
    const failure = await mountSluice({ lowers: ["/no/such/layer"] }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(MountFailure);
    expect(failure).toMatchObject({ stderr: expect.stringContaining("/no/such/layer") });
  });

  requires("kernel overlayfs").test("shows what kernel overlayfs shows", async () => {
    const lowers = [plant(scratch(), { "d/x": "top", "d/link": "1" }), plant(scratch(), { "d/x": "bottom", "d/y": "bottom" })];
    const mount = await mountSluice({ lowers });
    expect(diffSnapshots(snapshot(mount.mountpoint), snapshot(mountKernelOverlay({ lowers })))).toEqual([]);
  });
});
