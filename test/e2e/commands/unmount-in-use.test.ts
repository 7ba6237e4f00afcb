/**
 * A mount in use: `sluice unmount`, umount(8) and a stop leave its users alone and name them, wait for them, or cut them off
 * and say so.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  bytes,
  cleanUp,
  mountsBelow,
  mountSluice,
  plant,
  policyOf,
  requires,
  runScript,
  scratch,
  type SluiceMount,
  startScript,
} from "@sluice/testkit";
import { expect } from "vitest";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command unshare", "command umount");
const SLUICE = fileURLToPath(new URL("../../../packages/cli/bin/sluice.cjs", import.meta.url));
const NATIVE = new URL("../../../packages/native/dist/index.js", import.meta.url).href;
const HELPER = fileURLToPath(new URL("../../../packages/overlayfs-cli/bin/umount.fuse.sluice.cjs", import.meta.url));

async function mounted(args: readonly string[] = []): Promise<SluiceMount> {
  const root = scratch();
  for (const name of ["lower", "upper"]) mkdirSync(join(root, name));
  plant(join(root, "lower"), { file: "lower", "dir/f": "f" });
  return mountSluice({
    lowers: [join(root, "lower")],
    upper: join(root, "upper"),
    sharedPolicy: policyOf("mediate"),
    args,
  });
}

interface User {
  pid: number;
  /** Writes a line to its place of writing, and ends. Returns its exit code. */
  letGo(): Promise<number | null>;
}

/** A shell that uses the mount: it runs `how` first. */
async function user(mount: SluiceMount, how: string, then = ":"): Promise<User> {
  const script = startScript(["sh", "-c", `${how}; echo ready; read line; ${then}`], {
    env: { M: mount.mountpoint },
    timeoutMs: 150_000,
  });
  await script.waitFor("ready");
  return {
    pid: script.pid,
    letGo: async () => {
      script.write("go\n");
      return (await script.finished).code;
    },
  };
}

const writer = (mount: SluiceMount): Promise<User> => user(mount, 'exec 3> "$M/written"', "echo whole >&3");

const USES: Readonly<Record<string, { how: string; named(user: User, mount: SluiceMount): string }>> = {
  "a writer": { how: 'exec 3> "$M/written"', named: ({ pid }, mount) => `sh (pid ${pid} writes ${mount.path("written")})` },
  "a reader": { how: 'exec 3< "$M/file"', named: ({ pid }, mount) => `sh (pid ${pid} reads ${mount.path("file")})` },
  "a working directory": { how: 'cd "$M/dir"', named: ({ pid }) => `sh (pid ${pid} has its working directory there)` },
};

for (const [keeper, args] of [
  ["without a keeper", []],
  ["with a keeper", ["--keeper", "on"]],
] as const) {
  describe(`sluice unmount, ${keeper}`, () => {
    test("is refused because of a use of each kind, which is named and not disturbed", async () => {
      const mount = await mounted(args);
      for (const [name, { how, named }] of Object.entries(USES)) {
        const holder = await user(mount, how, name === "a writer" ? "echo whole >&3" : "cat <&3");
        const refused = await mount.cli("unmount");
        expect(refused, name).toMatchObject({ code: 4, stdout: "" });
        expect(refused.stderr).toContain(`${mount.mountpoint}: it is in use by ${named(holder, mount)} (EBUSY)`);
        expect(readFileSync(mount.path("file"), "utf8")).toBe("lower");
        await holder.letGo();
        if (name === "a writer") expect(readFileSync(mount.path("written"), "utf8")).toBe("whole\n");
      }
      // A mount with a keeper waits for the copies of it in mount namespaces of other tests.
      const wait = keeper === "with a keeper" ? ["--wait", "60s"] : [];
      const unmounted = await mount.cli("unmount", ...wait);
      expect(unmounted, unmounted.stderr).toMatchObject({ code: 0, stdout: `unmounted ${mount.mountpoint}\n` });
      expect(await mount.exited).toEqual({ code: 0, signal: null });
    });

    test("waits with --wait, and loses no write meanwhile", async () => {
      const mount = await mounted(args);
      const written = join(((await mount.status()) as { upper: string }).upper, "written");
      const holder = await writer(mount);
      const argv = ["sh", "-c", 'exec "$0" unmount --wait "$1" 2>&1', SLUICE, mount.mountpoint];
      const waiting = startScript(argv, { timeoutMs: 150_000 });
      await waiting.waitFor(`in use by sh (pid ${holder.pid} writes ${mount.path("written")}): waiting\n`);
      expect(await holder.letGo()).toBe(0);
      const result = await waiting.finished;
      expect(result.code).toBe(0);
      expect(result.stdout).toContain(`unmounted ${mount.mountpoint}\n`);
      expect(readFileSync(written, "utf8")).toBe("whole\n");
      expect(await mount.exited).toEqual({ code: 0, signal: null });
    });

    test("ends with --wait, too, if somebody else ended the mount meanwhile", async () => {
      const mount = await mounted(args);
      const holder = await writer(mount);
      const waiting = startScript(["sh", "-c", 'exec "$0" unmount --wait "$1" 2>&1', SLUICE, mount.mountpoint], { timeoutMs: 150_000 });
      await waiting.waitFor("waiting\n");
      process.kill(waiting.pid, "SIGSTOP");
      await holder.letGo();
      expect(await mount.stop()).toEqual({ code: 0, signal: null });
      process.kill(waiting.pid, "SIGCONT");
      const { code, stdout } = await waiting.finished;
      expect(stdout).toContain(`unmounted ${mount.mountpoint}\n`);
      expect(code).toBe(0);
    });

    test("gives up after --wait DURATION and the mount continues, and cuts users off with --force, and names them", async () => {
      const mount = await mounted(args);
      const first = await writer(mount);
      expect(await mount.cli("unmount", "--wait", "300ms")).toMatchObject({ code: 4, stdout: "" });
      expect(await first.letGo()).toBe(0);
      expect(readFileSync(mount.path("written"), "utf8")).toBe("whole\n");
      const holder = await writer(mount);
      const forced = await mount.cli("unmount", "--force");
      expect(forced).toMatchObject({ code: 0, stdout: `unmounted ${mount.mountpoint}\n` });
      expect(forced.stderr).toContain(`cut off: sh (pid ${holder.pid} writes ${mount.path("written")})`);
      expect(mountsBelow(bytes(mount.mountpoint))).toEqual([]);
      expect(await holder.letGo()).not.toBe(0);
      expect(await mount.exited).toEqual({ code: 0, signal: null });
      expect(mount.log()).toContain('"cutOff":["sh (pid');
    });
  });

  test(`umount -f of a mount in use, ${keeper}, cuts its users off and leaves no dead mount behind`, async () => {
    const mount = await mounted(args);
    const holder = await writer(mount);
    expect((await runScript(["umount", "-f", mount.mountpoint])).stderr).toContain("busy");
    expect(await mount.exited).toEqual({ code: 0, signal: null });
    expect(mountsBelow(bytes(mount.mountpoint))).toEqual([]);
    expect(await holder.letGo()).not.toBe(0);
    const unused = await mounted(args);
    expect(await runScript(["umount", "-f", unused.mountpoint])).toMatchObject({ code: 0, stderr: "" });
    expect(await unused.exited).toEqual({ code: 0, signal: null });
  });

  describe(`SIGTERM, ${keeper}`, () => {
    test("waits for a writer within its grace", async () => {
      const mount = await mounted([...args, "--grace", "60s"]);
      const holder = await writer(mount);
      const stopped = mount.stop();
      await expect
        .poll(() => mount.log())
        .toContain(`in use by sh (pid ${holder.pid} writes ${mount.path("written")}): waiting up to 60 s`);
      // The mount is still there for its users.
      expect(readFileSync(mount.path("file"), "utf8")).toBe("lower");
      expect(await holder.letGo()).toBe(0);
      expect(await stopped).toEqual({ code: 0, signal: null });
    });

    test("cuts a writer off after --grace, says so, and ends with 1", async () => {
      const mount = await mounted([...args, "--grace", "200ms"]);
      const holder = await writer(mount);
      expect(await mount.stop()).toEqual({ code: 1, signal: null });
      expect(mount.log()).toContain(`cut off: sh (pid ${holder.pid} writes ${mount.path("written")})`);
      expect(mount.log()).toContain("it was still in use 0.2 s after it was told to stop (ETIMEDOUT)");
      expect(await holder.letGo()).not.toBe(0);
    });
  });
}

for (const args of [[], ["--keeper", "on"]]) {
  test(`ends a mount${["", ...args].join(" ")} of which another mount namespace has a copy, unless somebody uses the copy`, async () => {
    const inNamespace = async (mount: SluiceMount, how: string): Promise<User> =>
      user(mount, `exec unshare --mount --propagation private sh -c '${how}; echo ready; read line; echo whole >&3'`);
    const mount = await mounted(args);
    const unused = await inNamespace(mount, "exec 3>/dev/null");
    expect(await mount.cli("unmount")).toMatchObject({ code: 0, stdout: `unmounted ${mount.mountpoint}\n`, stderr: "" });
    expect(await mount.exited).toEqual({ code: 0, signal: null });
    expect(await unused.letGo()).toBe(0);
    const other = await mounted(args);
    const { upper } = (await other.status()) as { upper: string };
    const writing = await inNamespace(other, 'exec 3> "$M/written"');
    const refused = await other.cli("unmount");
    expect(refused).toMatchObject({ code: 4, stdout: "" });
    expect(refused.stderr).toContain(`it is in use by sh (pid ${writing.pid} writes`);
    expect(await writing.letGo()).toBe(0);
    expect(readFileSync(join(upper, "written"), "utf8")).toBe("whole\n");
    expect(await other.exited).toEqual({ code: 0, signal: null });
  });
}

/** Its file is in a message that nobody has received yet: no process shows it in /proc. */
const FILE_IN_A_MESSAGE = `
  import { closeSync, openSync, readSync, writeSync } from "node:fs";
  const { native } = await import(process.argv[1]);
  const [pair, files] = [new Int32Array(2), new Int32Array(1)];
  native.seqpacketPair(pair);
  files[0] = openSync(process.env.M + "/written", "w");
  native.sendMessage(pair[0], Buffer.from("x"), 1, files, 1, 0);
  closeSync(files[0]);
  console.log("ready");
  readSync(0, Buffer.alloc(9));
  native.receiveMessage(pair[1], Buffer.alloc(9), files, 0);
  writeSync(files[0], "whole\\n");
`;

test("is refused because of a file that no process shows, in a copy of the mount in another mount namespace", async () => {
  const mount = await mounted();
  const { upper } = (await mount.status()) as { upper: string };
  const script = ["--input-type=module", "-e", FILE_IN_A_MESSAGE, NATIVE];
  const holder = startScript(["unshare", "--mount", "--propagation", "private", process.execPath, ...script], {
    env: { M: mount.mountpoint },
  });
  await holder.waitFor("ready");
  const refused = await mount.cli("unmount");
  expect(refused).toMatchObject({ code: 4, stderr: expect.stringContaining("users that this process cannot see in /proc (EBUSY)") });
  holder.write("go\n");
  expect(await holder.finished).toMatchObject({ code: 0, stderr: "" });
  expect(readFileSync(join(upper, "written"), "utf8")).toBe("whole\n");
  expect(await mount.exited).toEqual({ code: 0, signal: null });
});

test("unmounts a mount in which it was called itself", async () => {
  const mount = await mounted();
  const { code, stdout, stderr } = await runScript(["sh", "-c", 'cd "$1/dir" && exec "$0" unmount ..', SLUICE, mount.mountpoint]);
  expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: `unmounted ${mount.mountpoint}\n` });
  expect(await mount.exited).toEqual({ code: 0, signal: null });
});

test("leaves a mount alone that somebody bound to another place in another mount namespace, and names the place", async () => {
  const mount = await mounted();
  const place = scratch();
  const bound = `mount --bind "$M" "${place}"; echo ready; read line; grep -q lower "${place}/file"`;
  const container = await user(mount, `exec unshare --mount --propagation private sh -c '${bound}'`);
  const refused = await mount.cli("unmount");
  expect(refused).toMatchObject({ code: 4, stdout: "" });
  expect(refused.stderr).toContain(`it is in use by the mount on ${place} (sh, pid ${container.pid}) (EBUSY)`);
  expect(await container.letGo()).toBe(0);
  expect(await mount.exited).toEqual({ code: 0, signal: null });
});

test("names a mount below it, and leaves that mount alone", async () => {
  const mount = await mounted();
  execFileSync("mount", ["-t", "tmpfs", "below", mount.path("dir")]);
  cleanUp(() => void runScript(["umount", mount.path("dir")]));
  writeFileSync(mount.path("dir", "mine"), "mine");
  const refused = await mount.cli("unmount");
  expect(refused.code).toBe(4);
  expect(refused.stderr).toContain(`in use by the mount of below (tmpfs) on ${mount.path("dir")} (EBUSY)`);
  expect(readFileSync(mount.path("dir", "mine"), "utf8")).toBe("mine");
  execFileSync("umount", [mount.path("dir")]);
  await mount.stop();
});

test("leaves a mount alone that another one covers, also by force", async () => {
  const mount = await mounted();
  execFileSync("mount", ["-t", "tmpfs", "above", mount.mountpoint]);
  const refused = [await mount.cli("unmount"), await mount.cli("unmount", "--force")];
  execFileSync("umount", [mount.mountpoint]);
  for (const { code, stderr } of refused)
    expect([code, stderr]).toEqual([4, expect.stringContaining("a mount of type tmpfs covers it (EBUSY): unmount that one first")]);
  expect(readFileSync(mount.path("file"), "utf8")).toBe("lower");
  expect((await mount.cli("unmount")).code).toBe(0);
});

test("umount.fuse.sluice is refused as umount(8) is, and disturbs nobody", async () => {
  const mount = await mounted();
  const holder = await writer(mount);
  const refused = await runScript([HELPER, mount.mountpoint]);
  expect(refused).toMatchObject({ code: 32, stderr: `umount.fuse.sluice: ${mount.mountpoint}: target is busy\n` });
  expect(await holder.letGo()).toBe(0);
  expect(readFileSync(mount.path("written"), "utf8")).toBe("whole\n");
  expect(await runScript([HELPER, mount.mountpoint])).toMatchObject({ code: 0, stderr: "" });
  expect(await mount.exited).toEqual({ code: 0, signal: null });
});
