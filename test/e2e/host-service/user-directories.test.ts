/** The directory of sockets of a user's mount: it goes at the end, whatever the user does, and after a kill of the keeper. */
import { existsSync, mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runDirectories } from "@sluice/mount-control";
import { eventually, file, killProcess, requires, runScript, startHostService, startScript } from "@sluice/testkit";
import { expect } from "vitest";
import { busyKeepers, pythonAs, startForUsers, USER, UserHome } from "./user-home.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command setpriv", "checkout that every user can read");
const { test: withPython } = requires(
  "/dev/fuse",
  "CAP_SYS_ADMIN",
  "command setpriv",
  "command python3",
  "checkout that every user can read",
);

const PATIENCE_MS = 60_000;

/** Opens the directory to everybody, and adds names to it and to one in it until that fails for good. */
const FLOOD = `
top = sys.argv[1]
os.chmod(top, 0o777)
deep = top + "/deep"
os.mkdir(deep)
places = [os.open(top, os.O_DIRECTORY), os.open(deep, os.O_DIRECTORY)]
print("floods", flush=True)
number = 0
while places:
  number += 1
  for place in list(places):
    try:
      os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY, dir_fd=place))
    except OSError:
      places.remove(place)
`;

withPython("goes although its user goes on adding to it", async () => {
  const host = await startForUsers();
  const home = await UserHome.make({ lower: { word: file("x") } }, host);
  const [directory = ""] = runDirectories(home.mountpoint);
  const command = await home.mount();
  const flood = startScript(pythonAs(USER, FLOOD, directory), { timeoutMs: 2 * PATIENCE_MS });
  await flood.waitFor("floods");
  command.kill("SIGTERM");
  expect(await command.finished).toMatchObject({ code: 0 });
  expect([home.mounts, existsSync(directory)]).toEqual([0, false]);
  expect(await flood.finished).toMatchObject({ code: 0, stderr: "" });
  await home.mount();
});

test("goes with the next service if the keeper of the mount was killed, and that of a live mount stays", async () => {
  const host = await startForUsers();
  const [home, other] = [await UserHome.make({}, host), await UserHome.make({ lower: { word: file("x") } }, host)];
  await other.mount();
  const before = busyKeepers(host).map(({ pid }) => pid);
  await home.mount();
  const [directory = "", live = ""] = [home, other].map(({ mountpoint }) => runDirectories(mountpoint)[0]);
  writeFileSync(join(directory, "notes"), "");
  mkdirSync(join(directory, "more"));
  for (const keeper of busyKeepers(host)) if (!before.includes(keeper.pid)) killProcess(keeper);
  await runScript(["umount", "--lazy", home.mountpoint]);
  expect(existsSync(directory)).toBe(true);
  for (const path of [directory, live]) utimesSync(path, 0, 0);
  await startHostService();
  await eventually("the directory of the killed keeper is gone", PATIENCE_MS, () => !existsSync(directory));
  expect(existsSync(live)).toBe(true);
  expect((await other.sh("cat word")).stdout).toBe("x");
});
