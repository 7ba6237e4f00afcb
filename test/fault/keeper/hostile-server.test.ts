/** A malicious server gets nothing out of its keeper, and does not keep it from its work. */
import { spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { Errno } from "@sluice/vfs";
import { begunEarly, bytes, cleanUp, eventually, mountsBelow, requires } from "@sluice/testkit";
import { expect } from "vitest";
import { AttackedKeeper, type AttackPaths, attackPaths, attackPathsOfUser } from "./keeper-under-attack.js";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const { test: ofUser } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough", "checkout that every user can read", "command chattr");
const { test: withPassthrough } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");

/** The keeper still answers, and ends as it should, with nothing left. */
async function expectSound(keeper: AttackedKeeper): Promise<void> {
  // The signals come one after the other: pending signals of one kind are merged.
  for (const ended = keeper.exited.then(() => true); !(await Promise.race([ended, sleep(100, false)])); ) keeper.signal("SIGTERM");
  expect(keeper.mounted()).toBe(false);
  expect(keeper.log).not.toContain("    at ");
}

/** The names of the keeper's descriptors, if `wanted` accepts them within 10 s: it closes what it refuses in the background. */
async function held(keeper: AttackedKeeper, part: string, wanted: (names: readonly string[]) => boolean): Promise<string[]> {
  let names: string[] = [];
  const look = (): boolean => {
    names = keeper.descriptors().filter((name) => name.includes(part));
    return wanted(names);
  };
  await eventually(`the keeper closes what it refused of "${part}"`, 30_000, look).catch(() => undefined);
  return names;
}

function bindLower({ at, lower }: AttackPaths): string {
  const bound = `${at}/bound`;
  expect(spawnSync("mount", ["--bind", lower, bound]).status).toBe(0);
  cleanUp(() => void spawnSync("umount", [bound]));
  return bound;
}

function bindReadOnly(path: string): void {
  for (const options of ["bind", "remount,bind,ro"]) expect(spawnSync("mount", ["-o", options, path, path]).status).toBe(0);
  cleanUp(() => void spawnSync("umount", [path]));
}

/** The keeper waits ten seconds for it. */
const unclosable = begunEarly(async () => {
  const where = attackPaths();
  const keeper = new AttackedKeeper(where, ["unclosable", where.mountpoint, "200"]);
  expect(await keeper.exited).toEqual([1, null]);
  expect(keeper.log).toContain("the server ended before it served (signal SIGKILL");
  expect(keeper.mounted()).toBe(false);
});

describe("a hostile server", () => {
  withPassthrough("has registered what it opened in a layer, and nothing else", async () => {
    const where = attackPaths();
    const keeper = new AttackedKeeper(where, ["register", where.outside, bindLower(where)]);
    expect(await keeper.said()).toEqual({
      honest: true,
      outside: -Errno.EXDEV,
      sameFileThroughItsOwnMount: -Errno.EXDEV,
      sameFileThroughABind: -Errno.EXDEV,
      named: -Errno.EBADF,
      fifo: -Errno.EINVAL,
      directory: -Errno.EINVAL,
      device: -Errno.EINVAL,
      proc: -Errno.EXDEV,
      socket: -Errno.EINVAL,
      none: -Errno.EINVAL,
      two: -Errno.EINVAL,
      many: -Errno.EINVAL,
      afterAll: true,
    });
    await expectSound(keeper);
  });

  ofUser("has registered for an ordinary user no file that the kernel could open in other ways than the user", async () => {
    const keeper = new AttackedKeeper(await attackPathsOfUser(), ["ofUser"]);
    expect(await keeper.said()).toEqual({
      toRead: -Errno.EPERM,
      toWrite: -Errno.EPERM,
      ownForAppending: -Errno.EPERM,
      ownImmutable: -Errno.EPERM,
      toReadAndWrite: true,
      own: true,
      lower: true,
      lowerToWrite: -Errno.EROFS,
      byItself: -Errno.EPERM,
    });
    await expectSound(keeper);
  });

  ofUser("gets opened for an ordinary user what a chmod by that user would open, and nothing else", async () => {
    const where = await attackPathsOfUser();
    const keeper = new AttackedKeeper(where, ["own", where.outside]);
    expect(await keeper.said()).toEqual({
      read: "own",
      listed: true,
      foundIsOfItsPathAlone: 0o10000000,
      foundOfSomebodyElse: -Errno.EACCES,
      foundLink: "elsewhere".length,
      theirs: -Errno.EACCES,
      inTheirs: -Errno.EACCES,
      immutable: -Errno.EACCES,
      inUpper: -Errno.EINVAL,
      outside: -Errno.EXDEV,
      throughAnotherMount: -Errno.EXDEV,
      fifo: -Errno.EINVAL,
      link: -Errno.EINVAL,
      inFile: -Errno.ENOTDIR,
      names: [-Errno.EINVAL, -Errno.EINVAL, -Errno.EINVAL, -Errno.EINVAL, -Errno.EINVAL, -Errno.ENOENT],
      none: -Errno.EINVAL,
      longName: -Errno.EINVAL,
    });
    await expectSound(keeper);
  });

  ofUser("gets nothing opened on a mount that was read-only for the user", async () => {
    const where = await attackPathsOfUser();
    bindReadOnly(where.lower);
    const keeper = new AttackedKeeper(where, ["own-read-only"]);
    expect(await keeper.said()).toEqual({ file: -Errno.EXDEV, directory: -Errno.EXDEV, name: -Errno.EXDEV });
    await expectSound(keeper);
  });

  withPassthrough("cannot take back what the keeper did not register", async () => {
    const keeper = new AttackedKeeper(attackPaths(), ["ids"]);
    expect(await keeper.said()).toEqual({ foreign: 0, own: -Errno.ENOENT });
    await expectSound(keeper);
  });

  test("mounts once, and unmounts that mount alone", async () => {
    const keeper = new AttackedKeeper(attackPaths(), ["twice"]);
    const { abortAfter, ...others } = (await keeper.said()) as Record<string, unknown>;
    expect(others).toEqual({ again: -Errno.EBUSY, unmount: 0, unmountAgain: -Errno.EINVAL });
    // The mount namespace of a neighbour may still have a copy: then the connection is not over, and the keeper has no mount to abort.
    expect([-Errno.ENOTCONN, -Errno.EOPNOTSUPP]).toContain(abortAfter);
    await expectSound(keeper);
  });

  test("cannot mount in another place than the configured one", async () => {
    const where = attackPaths();
    const other = `${where.at}/bound`;
    const keeper = new AttackedKeeper(where, ["elsewhere", where.mountpoint, other]);
    expect(await keeper.said()).toEqual({ led: -Errno.ESTALE, gone: -Errno.ENOENT, back: 0 });
    expect(mountsBelow(bytes(where.at)).map(({ mountpoint }) => mountpoint)).toEqual([bytes(where.mountpoint)]);
    await expectSound(keeper);
  });

  withPassthrough("cannot register files without end", async () => {
    const keeper = new AttackedKeeper(attackPaths(), ["endless"]);
    const { registered, ...rest } = (await keeper.said()) as { registered: number };
    expect(rest).toEqual({ refused: -Errno.ENFILE, afterAll: true });
    expect(registered).toBeLessThan(10_000);
    await expectSound(keeper);
  });

  test("cannot make the keeper hold memory without end", async () => {
    const keeper = new AttackedKeeper(attackPaths(), ["memory"]);
    expect(await keeper.said()).toEqual({ grown: [-Errno.EPERM, -Errno.EPERM], sealed: -Errno.EPERM, afterAll: -Errno.EINVAL });
    const names = await held(keeper, "hostile", ({ length }) => length <= 2);
    expect(names.map((name) => name.replace(/ .*/, ""))).toEqual(["/memfd:hostile-sealed", "/memfd:hostile-sealed"]);
    await expectSound(keeper);
  });

  withPassthrough("does not make the keeper wait for descriptors that cannot be closed", async () => {
    const where = attackPaths();
    const keeper = new AttackedKeeper(where, ["unclosable", where.mountpoint, "20"]);
    expect(await keeper.said()).toEqual({ afterAll: true });
    await expectSound(keeper);
  });

  withPassthrough("does not disturb the keeper by garbage, and adds no descriptor to it", async () => {
    const keeper = new AttackedKeeper(attackPaths(), ["garbage"]);
    expect(await keeper.said()).toMatchObject({ afterAll: expect.toSatisfy((id: number) => id > 0) as number });
    // Garbage stores few descriptors by chance, as many as there are keys that it can hit.
    expect(await held(keeper, "/outside", ({ length }) => length === 0)).toEqual([]);
    await expectSound(keeper);
  });

  withPassthrough("cannot fill the keeper's table of descriptors, nor make it hold a file outside the layers", async () => {
    const where = attackPaths();
    const keeper = new AttackedKeeper(where, ["store", where.outside], 600);
    const { storeLimit, afterAll } = (await keeper.said()) as { storeLimit: number; afterAll: boolean };
    expect(afterAll).toBe(true);
    expect(storeLimit).toBeGreaterThan(100);
    expect((await held(keeper, "file", ({ length }) => length <= storeLimit)).length).toBe(storeLimit);
    expect(await held(keeper, "outside", ({ length }) => length === 0)).toEqual([]);
    expect(keeper.descriptors().length).toBeLessThan(600);
    await expectSound(keeper);
  });

  test("is ended if it does not read its answers", async () => {
    const keeper = new AttackedKeeper(attackPaths(), ["deaf"]);
    expect(await keeper.exited).toEqual([1, null]);
    expect(keeper.log).toContain("the server ended before it served (signal SIGKILL");
    expect(keeper.mounted()).toBe(false);
  });

  test("does not outlast three signals to its keeper", async () => {
    const keeper = new AttackedKeeper(attackPaths(), ["stubborn"]);
    await keeper.said();
    await expectSound(keeper);
  });

  withPassthrough("is ended if it sends many descriptors that cannot be closed", unclosable);
});
