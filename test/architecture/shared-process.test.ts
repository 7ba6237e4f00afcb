// Mounts of a test file that share a process: each is as a mount of its own, as far as files and decisions go.
import { readFileSync } from "node:fs";
import {
  bytes,
  MountFailure,
  mountsBelow,
  mountSluice,
  mountsShareProcess,
  plant,
  policyOf,
  requires,
  scratch,
  statusOf,
} from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const SECRET = policyOf("grant", { name: "no", path: "secret", effect: "deny" });

function lower(content = "x"): string {
  return plant(scratch(), { secret: "x", open: content });
}

describe("mountsShareProcess", () => {
  test("has mounts made by one process, each with its own layers, and ends each alone", async () => {
    const [one, other] = [await mountSluice({ lowers: [lower("one")] }), await mountSluice({ lowers: [lower("other")] })];
    expect(other.pid).toBe(one.pid);
    expect(await statusOf(one)).toMatchObject({ pid: one.pid });
    expect(await one.stop()).toEqual({ code: 0, signal: null });
    expect(mountsBelow(bytes(one.mountpoint))).toEqual([]);
    expect(readFileSync(other.path("open"), "utf8")).toBe("other");
  });

  test("leaves the process running between mounts", async () => {
    const one = await mountSluice({ lowers: [lower()] });
    await one.stop();
    expect((await mountSluice({ lowers: [lower()] })).pid).toBe(one.pid);
  });

  test("has mounts of a shared policy ask one decision service, and one with a file of its own another", async () => {
    const targets: string[] = [];
    for (const policy of [{ sharedPolicy: SECRET }, { sharedPolicy: SECRET }, { policy: SECRET }]) {
      const mount = await mountSluice({ lowers: [lower("y")], ...policy });
      expect(readFileSync(mount.path("open"), "utf8")).toBe("y");
      expect(() => readFileSync(mount.path("secret"))).toThrow(/EACCES/);
      targets.push((await statusOf(mount)).decider.target);
    }
    expect(targets[1]).toBe(targets[0]);
    expect(targets[2]).not.toBe(targets[0]);
  });

  test("gives a mount a process of its own if it asks for one, or needs one", async () => {
    const shared = await mountSluice({ lowers: [lower()] });
    const own = await mountSluice({ lowers: [lower()], ownProcess: true });
    const needing = await mountSluice({ lowers: [lower()], args: ["--idle-polling", "on"] });
    expect(new Set([shared.pid, own.pid, needing.pid]).size).toBe(3);
    expect(await own.kill()).toEqual({ code: null, signal: "SIGKILL" });
    await expect(shared.kill()).rejects.toThrow(/SIGKILL would strike other mounts/);
  });

  test("takes options with a value, without one, and repeated", async () => {
    const when = "resource.label['a'] == '1' && resource.label['b'] == '2'";
    const policy = policyOf("grant", { name: "no", path: "secret", effect: "deny", when });
    const args = ["--name", "named", "--label=a=1", "--label", "b=2", "--shared-lower", "-o", "index=off"];
    const mount = await mountSluice({ lowers: [lower()], policy, args });
    expect(await statusOf(mount)).toMatchObject({ name: "named" });
    expect(readFileSync(mount.path("open"), "utf8")).toBe("x");
    expect(() => readFileSync(mount.path("secret"))).toThrow(/EACCES/);
  });

  test("shows the lines of the log that are about this mount", async () => {
    const [one, other] = [await mountSluice({ lowers: [lower()] }), await mountSluice({ lowers: [lower()], args: ["--name", "other"] })];
    await expect.poll(() => one.log()).toContain(one.mountpoint);
    await expect.poll(() => other.log()).toContain('"mount":"other"');
    expect(one.log()).not.toContain('"mount":"other"');
  });

  test("says why a mount failed", async () => {
    const failure = await mountSluice({ lowers: ["/no/such/layer"] }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(MountFailure);
    expect(failure).toMatchObject({ stderr: expect.stringMatching(/^sluice: .*\/no\/such\/layer/), exit: { signal: null } });
  });
});
