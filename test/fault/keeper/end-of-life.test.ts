/** However a mount with a keeper ends, nothing of it is left: no process, no mount, no socket, and the layers are free. */
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  bytes,
  descendantsOf,
  drawnCases,
  file,
  isAlive,
  killProcess,
  mountsBelow,
  mountSluice,
  plant,
  policyOf,
  type ProcessIdentity,
  requires,
  runScript,
  runSluice,
  scratch,
  type SluiceMount,
} from "@sluice/testkit";
import { expect } from "vitest";
import { chooseSeed } from "../exercisers/policies.js";
import { AttackedKeeper, attackPaths } from "./keeper-under-attack.js";
import { abort, expectNothingLeft } from "./nothing-left.js";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

interface SupervisedMount {
  mount: SluiceMount;
  lower: string;
  upper: string;
  work: string;
  mountpoint: string;
  family: ProcessIdentity[];
}

async function supervised(args: readonly string[] = [], policy?: string): Promise<SupervisedMount> {
  const root = scratch();
  const [lower, upper, work, mountpoint] = ["lower", "upper", "work", "mnt"].map((name) => join(root, name)) as [
    string,
    string,
    string,
    string,
  ];
  for (const path of [upper, work, mountpoint]) mkdirSync(path);
  plant(lower, { f: file("lower") });
  const mount = await mountSluice({
    lowers: [lower],
    upper,
    work,
    mountpoint,
    args: ["--keeper", "on", ...args],
    ...(policy === undefined ? {} : { policy }),
  });
  return { mount, lower, upper, work, mountpoint, family: descendantsOf(mount.pid) };
}

const serverOf = (mount: SluiceMount): ProcessIdentity => {
  const server = descendantsOf(mount.pid).find(({ pid }) => pid === mount.serverPid);
  if (server === undefined) throw new Error("there is no server");
  return server;
};

const POLICY = policyOf("grant");
/** After the server's death. `npm run test:soak take-over` takes all of them. */
const MOMENTS_MS = [0, 2, 10, 40, 100, 180, 260];
const FEW = 3;

describe("a mount with a keeper ends", () => {
  test("a mount with a keeper ends by SIGTERM, together with its decision service", async () => {
    const it = await supervised([], POLICY);
    // A standby comes two seconds later.
    for (const part of ["mount-server", "decision"]) expect(it.family.map(({ command }) => command).join("\n")).toContain(part);
    expect((await it.mount.stop()).code).toBe(0);
    await expectNothingLeft(it);
  });

  test("a mount with a keeper ends by SIGTERM at the moments when its server dies and the next one starts", async () => {
    for (const afterMs of drawnCases(MOMENTS_MS, FEW, chooseSeed())) {
      const it = await supervised();
      killProcess(serverOf(it.mount));
      if (afterMs > 0) await sleep(afterMs);
      expect([afterMs, (await it.mount.stop()).code]).toEqual([afterMs, 0]);
      await expectNothingLeft(it);
    }
  }, 120_000);

  test("a mount with a keeper ends by a plain umount", async () => {
    const it = await supervised();
    expect((await runScript(["umount", it.mountpoint])).code).toBe(0);
    expect((await it.mount.exited).code).toBe(0);
    await expectNothingLeft(it);
  });

  test("a mount with a keeper ends by umount -l, when the last file is closed", async () => {
    const it = await supervised();
    const fd = openSync(join(it.mountpoint, "f"), "r");
    expect((await runScript(["umount", "-l", it.mountpoint])).code).toBe(0);
    expect(readFileSync(fd, "utf8")).toBe("lower");
    expect(it.family.filter(isAlive).length).toBe(it.family.length);
    closeSync(fd);
    expect((await it.mount.exited).code).toBe(0);
    await expectNothingLeft(it);
  });

  test("a mount with a keeper ends by sluice unmount --force, with files still open", async () => {
    const it = await supervised();
    const fd = openSync(join(it.mountpoint, "f"), "r");
    expect((await it.mount.cli("unmount", "--force")).code).toBe(0);
    expect(() => closeSync(fd)).toThrow("ENOTCONN");
    expect((await it.mount.exited).code).toBe(0);
    await expectNothingLeft(it);
  });

  test("a mount with a keeper ends by abort of the connection", async () => {
    const it = await supervised();
    abort(it.mountpoint);
    await it.mount.exited;
    await expectNothingLeft(it);
  });

  test("a mount with a keeper ends by abort while the server is stopped: the keeper ends the server, and does not wait for it", async () => {
    const it = await supervised();
    abort(it.mountpoint, () => process.kill(serverOf(it.mount).pid, "SIGSTOP"));
    await it.mount.exited;
    await expectNothingLeft(it);
  });

  test("a mount with a keeper ends if its keeper is killed: the server and the decision service end, and the next mount clears the dead one away", async () => {
    const it = await supervised([], POLICY);
    await it.mount.kill();
    await expect.poll(() => it.family.filter(isAlive)).toEqual([]);
    expect((await runScript(["stat", it.mountpoint])).stderr).toContain("not connected");
    const again = await mountSluice({
      lowers: [it.lower],
      upper: it.upper,
      work: it.work,
      mountpoint: it.mountpoint,
      args: ["--keeper", "on"],
    });
    expect(readFileSync(join(it.mountpoint, "f"), "utf8")).toBe("lower");
    expect(mountsBelow(bytes(it.mountpoint)).length).toBe(1);
    expect((await again.stop()).code).toBe(0);
    await expectNothingLeft(it);
  });

  test("a mount with a keeper ends if its servers die repeatedly", async () => {
    const keeper = new AttackedKeeper(attackPaths(), ["loop"]);
    await keeper.said();
    expect(await keeper.exited).toEqual([1, null]);
    expect(keeper.log).toContain("the server dies again and again (exit code 3)");
    expect(keeper.log.match(/another one goes on/g)?.length).toBeGreaterThan(2);
    expect(keeper.mounted()).toBe(false);
  });
});

describe("a killed server", () => {
  test("is replaced, and status and metrics say so", async () => {
    const it = await supervised();
    for (let kills = 1; kills <= 3; kills++) {
      const server = serverOf(it.mount);
      killProcess(server);
      await expect.poll(async () => (await runSluice(["status", "--json", it.mountpoint])).stdout).toContain(`"restarts": ${kills}`);
      expect((await runScript(["cat", join(it.mountpoint, "f")])).stdout).toBe("lower");
    }
    const { keeper, pid } = (await it.mount.status()) as { keeper: { pid: number; lastDeath: string }; pid: number };
    expect(keeper.pid).toBe(it.mount.pid);
    expect(pid).toBe(serverOf(it.mount).pid);
    expect(keeper.lastDeath).toContain("SIGKILL");
    const family = [...it.family, ...descendantsOf(it.mount.pid)];
    expect((await it.mount.stop()).code).toBe(0);
    await expectNothingLeft({ ...it, family });
  });
});
