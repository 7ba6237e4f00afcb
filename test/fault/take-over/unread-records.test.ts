/** Files whose last name is gone stay open for their holders, although the keeper was slow when their server died. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  descendantsOf,
  eventually,
  isAlive,
  killProcess,
  mountSluice,
  openDescriptors,
  requires,
  scratch,
  startHostService,
  startScript,
} from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command python3");

/** More than the keeper reads in one turn, and fewer than the socket to it holds. */
const FILES = 150;
const AMPLE_MS = 60_000;

const HOLDER = `
import os, sys
names = [os.path.join(sys.argv[1], str(n)) for n in range(${FILES})]
held = [os.open(name, os.O_RDWR) for name in names]
print("holding", flush=True)
sys.stdin.readline()
for name in names: os.unlink(name)
print("unlinked", flush=True)
sys.stdin.readline()
def look(n):
    try:
        return (os.fstat(held[n]).st_nlink, os.pread(held[n], 99, 0))
    except OSError as error:
        return error
print([(n, look(n)) for n in range(${FILES}) if look(n) != (0, b"content %d" % n)])
`;

/** The keeper sleeps while its server tells it of each file that loses its name, and is killed. @returns what the holder found */
async function killBeforeRead(mountpoint: string, keeper: number): Promise<string> {
  const holder = startScript(["python3", "-c", HOLDER, mountpoint], { timeoutMs: 120_000 });
  await holder.waitFor("holding");
  const server = descendantsOf(keeper).find(({ pid }) => openDescriptors(pid).includes("/dev/fuse"));
  if (server === undefined) throw new Error("nobody serves");
  process.kill(keeper, "SIGSTOP");
  try {
    holder.write("unlink\n");
    await holder.waitFor("unlinked");
    killProcess(server);
    await eventually("the server is dead", AMPLE_MS, () => !isAlive(server));
  } finally {
    process.kill(keeper, "SIGCONT");
  }
  holder.write("look\n");
  return (await holder.finished).stdout;
}

function plantLayers(): { lower: string; upper: string } {
  const [lower, upper] = [scratch(), join(scratch(), "upper")];
  mkdirSync(upper);
  for (let n = 0; n < FILES; n++) writeFileSync(join(lower, String(n)), `content ${n}`);
  return { lower, upper };
}

const NOTHING_LOST = "holding\nunlinked\n[]\n";

test("a keeper that is behind keeps all descriptors that a killed server had sent it", async () => {
  const { lower, upper } = plantLayers();
  const mount = await mountSluice({ lowers: [lower], upper, args: ["--keeper", "on"] });
  expect(await killBeforeRead(mount.mountpoint, mount.pid)).toBe(NOTHING_LOST);
  expect((await mount.stop()).code).toBe(0);
}, 180_000);

test("the keeper of a host service that is behind keeps those of each mount", async () => {
  const host = await startHostService(["--keeper", "on"]);
  const { lower, upper } = plantLayers();
  const mount = await mountSluice({ lowers: [lower], upper, args: host.args });
  expect(await killBeforeRead(mount.mountpoint, host.pid)).toBe(NOTHING_LOST);
  expect((await mount.stop()).code).toBe(0);
  expect((await host.stop()).code).toBe(0);
}, 180_000);
