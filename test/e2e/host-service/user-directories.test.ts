/** The directory of sockets of a user's mount goes at its end, whatever the user does. */
import { existsSync } from "node:fs";
import { runDirectories } from "@sluice/mount-control";
import { file, requires, startScript } from "@sluice/testkit";
import { expect } from "vitest";
import { pythonAs, startForUsers, USER, UserHome } from "./user-home.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command setpriv", "command python3", "checkout that every user can read");

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

test("goes although its user goes on adding to it", async () => {
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
