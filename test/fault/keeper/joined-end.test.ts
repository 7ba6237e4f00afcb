/** However a mount with an independently started keeper and server ends, nothing of it is left. */
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { MNT, native } from "@sluice/native";
import {
  bytes,
  file,
  identifyProcess,
  mountsBelow,
  plant,
  type ProcessIdentity,
  requires,
  runScript,
  runSluice,
  type RunningScript,
  scratch,
} from "@sluice/testkit";
import { expect } from "vitest";
import { type JoinedPlaces, joinedPlaces, startKeeper, startServer } from "./joined-mount.js";
import { abort, expectNothingLeft } from "./nothing-left.js";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command unshare");

interface Joined extends JoinedPlaces {
  keeper: RunningScript;
  server: RunningScript;
  family: ProcessIdentity[];
}

async function joined(): Promise<Joined> {
  const places = joinedPlaces(plant(scratch(), { f: file("lower") }));
  const keeper = await startKeeper(places);
  const server = startServer(places);
  await server.waitFor("mounted ");
  const family = [keeper.pid, server.pid].map(identifyProcess).filter((each) => each !== undefined);
  return { ...places, keeper, server, family };
}

async function expectEnd(it: Joined): Promise<void> {
  expect((await it.keeper.finished).code).toBe(0);
  expect((await it.server.finished).code).toBe(0);
  expect(existsSync(it.socket)).toBe(false);
  await expectNothingLeft(it);
}

describe("a mount whose server joined its keeper ends", () => {
  test("a mount whose server joined its keeper ends by umount -l, when the last file is closed", async () => {
    const it = await joined();
    const fd = openSync(join(it.mountpoint, "f"), "r");
    expect((await runScript(["umount", "-l", it.mountpoint])).code).toBe(0);
    expect(readFileSync(fd, "utf8")).toBe("lower");
    closeSync(fd);
    await expectEnd(it);
  });

  test("a mount whose server joined its keeper ends by sluice unmount --force, with files still open", async () => {
    const it = await joined();
    const fd = openSync(join(it.mountpoint, "f"), "r");
    expect((await runSluice(["unmount", it.mountpoint])).code).toBe(4);
    expect((await runSluice(["unmount", "--force", it.mountpoint])).code).toBe(0);
    expect(() => closeSync(fd)).toThrow("ENOTCONN");
    await expectEnd(it);
  });

  test("a mount whose server joined its keeper ends by abort of the connection", async () => {
    const it = await joined();
    abort(it.mountpoint);
    await expectEnd(it);
  });

  test("a mount whose server joined its keeper ends by umount while there is no server", async () => {
    const it = await joined();
    it.server.kill("SIGTERM");
    expect((await it.server.finished).code).toBe(0);
    expect(native.umount2(bytes(it.mountpoint), MNT.DETACH)).toBe(0);
    await expectEnd(it);
  });

  test("a mount whose server joined its keeper ends by its keeper, which is told not to wait for a server that hangs", async () => {
    const it = await joined();
    process.kill(it.server.pid, "SIGSTOP");
    const waits = runScript(["cat", join(it.mountpoint, "f")]);
    const again = setInterval(() => it.keeper.kill("SIGTERM"), 200);
    expect((await it.keeper.finished).code).toBe(0);
    clearInterval(again);
    expect((await waits).code).toBe(1);
    expect(mountsBelow(bytes(it.mountpoint))).toEqual([]);
    it.server.kill();
    await it.server.finished;
    expect(existsSync(it.socket)).toBe(false);
  });

  test("a mount whose server joined its keeper ends if its keeper is killed: the server ends, and the next keeper clears the dead mount away", async () => {
    const it = await joined();
    it.keeper.kill();
    expect((await it.server.finished).code).toBe(1);
    expect((await runScript(["stat", it.mountpoint])).stderr).toContain("not connected");
    const keeper = await startKeeper(it);
    const server = startServer(it);
    await server.waitFor("mounted ");
    expect(readFileSync(join(it.mountpoint, "f"), "utf8")).toBe("lower");
    expect(mountsBelow(bytes(it.mountpoint)).length).toBe(1);
    keeper.kill("SIGTERM");
    await expectEnd({ ...it, keeper, server });
  });
});
