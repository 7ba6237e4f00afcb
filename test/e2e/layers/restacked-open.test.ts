/** Open files, mappings and names of programs while the upper layer of their mount becomes a lower one, and uses of it that keep it from that. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { Actor, cleanUp, directory, mountsShareProcess, openDescriptors, policyOf, publicFile, requires, statusOf } from "@sluice/testkit";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";
import { RestackedMount } from "../harness/restacked-mount.js";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const LOWER = { "base/f": publicFile("base"), "base/other": publicFile("other"), empty: directory() };
const KINDS = { "by passthrough": "grant", mediated: "mediate" } as const;

/** A mount with changes of an actor: base/f is changed, and new/f is made. The kernel looks each name up again. */
async function changed(
  policy: string,
  args: readonly string[] = ["--shared-lower", "-o", "timeout=0"],
): Promise<{ stack: RestackedMount; actor: Actor }> {
  const stack = await RestackedMount.start({ lower: LOWER, policy, args });
  const actor = await Actor.start();
  await put(actor, stack.path("base/f"), "changed");
  expect(await actor.do("mkdir", stack.path("new"))).toBe(0);
  await put(actor, stack.path("new/f"), "new");
  return { stack, actor };
}

async function put(actor: Actor, path: string, content: string): Promise<void> {
  const fd = (await actor.do("open", path, O.WRONLY | O.CREAT | O.TRUNC)) as number;
  expect(await actor.do("write", fd, content, 0)).toBe(content.length);
  await actor.do("close", fd);
}

for (const [kind, effect] of Object.entries(KINDS)) {
  test(`open files, mappings, directories and inode numbers go on, ${kind}`, async () => {
    const { stack, actor } = await changed(policyOf(effect));
    const numbers = async (): Promise<unknown[]> =>
      Promise.all(
        ["", "base", "base/f", "base/other", "new", "new/f"].map(
          async (name) => ((await actor.do("stat", stack.path(name))) as { ino: string }).ino,
        ),
      );
    const before = await numbers();
    const file = (await actor.do("open", stack.path("new/f"), O.RDONLY)) as number;
    const mapping = await actor.do("map", file, 3, false);
    const at = (await actor.do("open", stack.path("new"), O.RDONLY | O.DIRECTORY)) as number;

    expect(await stack.restack()).toBe("yes");
    expect(await numbers()).toEqual(before);
    expect(await actor.do("read", file, 10, 0)).toBe("new");
    expect(await actor.do("mapRead", mapping, 0, 3)).toBe("new");
    expect(await actor.do("contents", `/proc/self/fd/${at}/f`)).toBe("new");

    await put(actor, stack.path("new/f"), "newer");
    await put(actor, `/proc/self/fd/${at}/g`, "g");
    expect(await actor.do("contents", stack.path("new/f"))).toBe("newer");
    // A reader that passes through keeps the file that it opened, as in any lower layer.
    expect(await actor.do("read", file, 10, 0)).toBe(effect === "grant" ? "new" : "newer");
    expect(await actor.do("readdir", stack.path("new"))).toEqual(["f", "g"]);
    expect(await numbers()).toEqual(before);
    stack.expectUnchanged();
  });

  test(`a removed file that is open keeps its content and can be changed, ${kind}`, async () => {
    const { stack, actor } = await changed(policyOf(effect));
    const fd = (await actor.do("open", stack.path("new/f"), O.RDONLY)) as number;
    expect(await actor.do("unlink", stack.path("new/f"))).toBe(0);
    expect(await stack.restack()).toBe("yes");
    expect(await actor.do("read", fd, 10, 0)).toBe("new");
    expect(await actor.do("chmod", `/proc/self/fd/${fd}`, 0o600)).toBe(0);
    expect(await actor.do("fstat", fd)).toMatchObject({ mode: 0o100600, size: "3", nlink: 0 });
    expect(await actor.do("read", fd, 10, 0)).toBe("new");
    expect(await actor.do("readdir", stack.path("new"))).toEqual([]);
    stack.expectUnchanged();
  });

  test(`the layer does not move while a file is open for writing, or mapped so, ${kind}`, async () => {
    const { stack, actor } = await changed(policyOf(effect));
    const fd = (await actor.do("open", stack.path("new/f"), O.RDWR)) as number;
    const mapping = await actor.do("map", fd, 3, true);
    expect(await stack.restack()).toBe("writers");
    await actor.do("close", fd);
    expect(await stack.restack()).toBe("writers");
    await actor.do("mapWrite", mapping, 0, "now");
    await actor.do("unmap", mapping);
    expect(await stack.restack()).toBe("yes");
    expect(await actor.do("contents", stack.path("new/f"))).toBe("now");
    stack.expectUnchanged();
  });

  test(`a rule for files that the session did not make leaves those alone that it made before, ${kind}`, async () => {
    const rules = [
      { effect: "deny", path: "new/**", when: "resource.layer != 'upper'" },
      { effect: "hide", path: "**/hidden" },
    ] as const;
    const { stack, actor } = await changed(policyOf(effect, ...rules));
    expect(await stack.restack()).toBe("yes");
    expect(await actor.do("contents", stack.path("new/f"))).toBe("new");
    await put(actor, stack.path("new/f"), "newer");
    expect(await stack.restack()).toBe("yes");
    expect(await actor.do("contents", stack.path("new/f"))).toBe("newer");
    expect(await actor.do("open", stack.path("new/hidden"), O.WRONLY | O.CREAT)).toBe(-Errno.EACCES);
    stack.expectUnchanged();
  });
}

test("a reader that shares the descriptor of a writer keeps the layer in use, and the mount goes on", async () => {
  const { stack, actor } = await changed(policyOf("grant"));
  const writer = (await actor.do("open", stack.path("new/f"), O.RDWR)) as number;
  const reader = (await actor.do("open", stack.path("new/f"), O.RDONLY)) as number;
  await actor.do("close", writer);
  expect(await stack.restack()).toBe("unfit: a reader shares the descriptor of a writer (EBUSY)");
  await put(actor, stack.path("new/f"), "newer");
  expect(await actor.do("read", reader, 10, 0)).toBe("newer");
  await actor.do("close", reader);
  expect(await stack.restack()).toBe("yes");
  const { layers } = (await statusOf(stack.mount)).overlay;
  expect(layers.map(({ name }) => name)).toEqual(["upper", "upper (frozen)", "lower0"]);
  expect(layers.map(({ flags }) => flags.includes("ro"))).toEqual([false, true, true]);
});

const traced = requires("/dev/fuse", "CAP_SYS_ADMIN", "command strace");

traced.test("the layer moves once a large file is closed, also while its disk takes its time with that", async () => {
  const { stack, actor } = await changed(policyOf("grant"));
  const fd = (await actor.do("open", stack.path("new/f"), O.RDWR)) as number;
  await actor.do("fill", fd, 7, 16 << 20, 0);
  const { serverPid } = stack.mount;
  // As the server sees it, which has a mount of the layer for itself.
  const path = openDescriptors(serverPid).find((target) => target.endsWith("/new/f")) as string;
  const slow = ["-P", path, "-e", "trace=close", "-e", "inject=close:delay_enter=400000"];
  const strace = spawn("strace", ["-f", "-p", String(serverPid), ...slow], { stdio: ["ignore", "ignore", "pipe"] });
  cleanUp(() => void strace.kill("SIGKILL"));
  await once(strace.stderr, "data");
  await actor.do("close", fd);
  expect(await stack.restack()).toBe("yes");
  strace.kill("SIGINT");
  await once(strace, "exit");
  expect(await actor.do("stat", stack.path("new/f"))).toMatchObject({ size: String(16 << 20) });
  stack.expectUnchanged();
});

test("several names of one file in an upper layer without an index keep it from becoming a lower one", async () => {
  const { stack, actor } = await changed(policyOf("grant"), ["-o", "index=off"]);
  const [f, g, h] = ["new/f", "new/g", "new/h"].map((name) => stack.path(name)) as [string, string, string];
  const unfit = "unfit: files may have several names in the upper layer";
  for (const remove of [() => actor.do("unlink", f), () => actor.do("rename", h, f)]) {
    await put(actor, f, "f");
    await put(actor, h, "h");
    expect(await actor.do("link", f, g)).toBe(0);
    expect(await stack.restack()).toBe(unfit);
    expect(await remove()).toBe(0);
    expect(await stack.restack()).toBe("yes");
    expect(await actor.do("contents", g)).toBe("f");
    expect(await actor.do("unlink", g)).toBe(0);
  }
  await put(actor, f, "f");
  await stack.mount.stop();
  await stack.start();
  expect(await stack.restack()).toBe(unfit);
  stack.expectUnchanged();
});

test("another upper layer that is not empty, or missing, is not taken", async () => {
  const { stack, actor } = await changed(policyOf("grant"));
  expect(await stack.ask({ method: "restack", next: "missing", taken: "taken", formerPath: "" })).toMatch(/^unfit: .*cannot be opened/);
  expect(await stack.ask({ method: "restack", next: "..", taken: "taken", formerPath: "" })).toBe("error: unknown request");
  expect(await stack.restack({ "upper/stray": "" })).toBe("unfit: the next upper layer is not empty (ENOTEMPTY)");
  expect(await actor.do("contents", stack.path("new/f"))).toBe("new");
  expect(await stack.restack()).toBe("yes");
});
