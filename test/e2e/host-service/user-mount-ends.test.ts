/** Whenever the command of a user's mount is killed, nothing of the mount is left behind. */
import { existsSync, mkdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { runDirectories } from "@sluice/mount-control";
import { eventually, file, type HostService, requires, runScript, startScript } from "@sluice/testkit";
import { expect } from "vitest";
import { CLI, startForUsers, USER, UserHome } from "./user-home.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command setpriv", "checkout that every user can read");

const PATIENCE_MS = 90_000;
const STEP_MS = 60;
const STEPS = 14;

/** Of processes that have a mount, or begin one: those that are ready for the next one have none. */
function busyKeepers(host: HostService): number[] {
  return host
    .children()
    .filter(({ command }) => command.includes("user-mount"))
    .map(({ pid }) => pid);
}

/** A mount point of its own for each moment, and the place of its sockets. */
async function places(home: UserHome): Promise<{ at: string; sockets: string }[]> {
  const made = Array.from({ length: STEPS }, (_none, step) => home.at(`view-${step}`));
  for (const at of made) mkdirSync(at);
  await runScript(["chown", `${USER.uid}:${USER.gid}`, ...made]);
  return made.map((at) => ({ at, sockets: runDirectories(at)[0] as string }));
}

async function expectNothingLeft(host: HostService, home: UserHome, sockets: readonly string[]): Promise<void> {
  await eventually("no mount is left", PATIENCE_MS, () => home.mounts === 0);
  await eventually("no directory of sockets is left", PATIENCE_MS, () => !sockets.some((path) => existsSync(path)));
  await eventually("only what is ready for the next mount runs", PATIENCE_MS, () => busyKeepers(host).length <= 1);
  await home.mount();
  expect(await home.sh("cat word")).toMatchObject({ stdout: "x" });
}

test("a command that is killed at any moment of its mount's beginning leaves no mount, no process and no directory", async () => {
  const host = await startForUsers(16);
  const home = await UserHome.make({ lower: { word: file("x") } }, host);
  const all = await places(home);
  for (const [step, { at }] of all.entries()) {
    const argv = [process.execPath, CLI, ...home.words("--lower", home.at("lower"), at)];
    const command = startScript(argv, { as: USER, env: { XDG_RUNTIME_DIR: "" } });
    await sleep(200 + step * STEP_MS);
    command.kill("SIGKILL");
    await command.finished;
  }
  await expectNothingLeft(
    host,
    home,
    all.map(({ sockets }) => sockets),
  );
});
