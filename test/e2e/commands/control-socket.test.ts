/** Whose mount a command finds. If root has mounts, nobody else may look into the directory of root's sockets. */
import { requires, runScript, scratch } from "@sluice/testkit";
import { chmodSync, chownSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";

const { test } = requires("CAP_SYS_ADMIN", "checkout that every user can read");
const USER = 1000;
const CLI = fileURLToPath(new URL("../../../packages/cli/bin/sluice.cjs", import.meta.url));
const built = (name: string): string => new URL(`../../../packages/mount-control/dist/${name}.js`, import.meta.url).href;

/**
 * The sockets of a mount's keeper and server, and a command that looks for them before and during a take-over by the next
 * server.
 */
const LOOKS_FOR_ITS_OWN = `
import { mkdirSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
const { runDirectories } = await import(${JSON.stringify(built("run-directory"))});
const { connectControl } = await import(${JSON.stringify(built("control-client"))});
const [roots, own] = runDirectories("/nowhere/of-this-test");
mkdirSync(own, { recursive: true, mode: 0o700 });
await connectControl("/nowhere/of-this-test").catch(({ message }) => console.log("none: " + message.replace(roots, "ROOTS")));
createServer().listen(join(own, "keeper.sock"), () => {
  // The old server has ended, and the next one is not ready yet.
  setTimeout(() => createServer((one) => one.end("alive\\n")).listen(join(own, "control.sock"), () => console.log("there")), 300);
});
setTimeout(async () => {
  await connectControl("/nowhere/of-this-test");
  console.log("found");
  process.exit();
}, 100);`;

/** Runs in a /run of its own, in which other users cannot see root's sockets. */
const IN_ANOTHER_RUN = `mount -t tmpfs none /run && mkdir -m 700 /run/sluice &&
exec setpriv --reuid=${USER} --regid=${USER} --clear-groups -- "$1" --input-type=module -e "$2"`;

test("finds a user's own mount behind root's socket directory, which is closed to them", async () => {
  const home = scratch();
  chmodSync(home, 0o755);
  const runtime = join(home, "runtime");
  mkdirSync(runtime);
  chownSync(runtime, USER, USER);
  const { stdout, stderr } = await runScript(["unshare", "-m", "sh", "-c", IN_ANOTHER_RUN, "sh", process.execPath, LOOKS_FOR_ITS_OWN], {
    env: { XDG_RUNTIME_DIR: runtime },
  });
  expect(stderr).toBe("");
  const [before, ...after] = stdout.trimEnd().split("\n");
  expect(before).toMatch(/^none: ROOTS.control\.sock: the control socket may not be used \(EACCES\): run as root/);
  expect(after).toEqual(["there", "found"]);
});

const { test: withMounts } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command unshare");

withMounts("a file system without room for the socket is named as the reason, not the command line", async () => {
  const [lower, mountpoint] = [scratch(), scratch()];
  // Enough for the directory.
  const inFullRun = 'mount -t tmpfs -o nr_inodes=3 none /run && exec "$@"';
  const mount = [process.execPath, CLI, "mount", "--lower", lower, mountpoint];
  const { code, stderr } = await runScript(["unshare", "-m", "sh", "-c", inFullRun, "sh", ...mount]);
  expect([code, stderr]).toEqual([1, expect.stringContaining("the control socket cannot be made (ENOSPC): free space there, or inodes")]);
});
