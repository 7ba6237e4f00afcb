/**
 * The files that are registered with the kernel as backing files, and the abuse of them that a confused or malicious server
 * cannot commit.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { MOUNT_ATTR, native, OPEN_TREE } from "@sluice/native";
import { requires } from "@sluice/testkit";
import { AT, Errno, O } from "@sluice/vfs";
import { afterEach, expect } from "vitest";
import { MountedMirror } from "./mounted-mirror.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");
let mounted: MountedMirror | undefined;

afterEach(async () => {
  await mounted?.dispose();
  mounted = undefined;
});

async function start(): Promise<MountedMirror> {
  mounted = new MountedMirror();
  await mounted.engine.ready;
  return mounted;
}

function registering(m: MountedMirror, path: string, flags: number): number {
  const fd = native.openat(AT.FDCWD, path, flags | O.NONBLOCK | O.CLOEXEC, 0);
  if (fd < 0) return fd;
  const id = m.engine.port.openBacking(fd);
  native.close(fd);
  if (id > 0) m.engine.port.closeBacking(id);
  return Math.min(id, 1);
}

test("only a regular file that its caller has open is registered", async () => {
  const m = await start();
  const at = (name: string): string => join(m.scratch, name);
  writeFileSync(at("file"), "content");
  mkdirSync(at("directory"));
  execFileSync("mkfifo", [at("fifo")]);
  const server = createServer().listen(at("socket"));
  await new Promise((resolve) => server.once("listening", resolve));
  expect(registering(m, at("file"), O.RDONLY)).toBe(1);
  expect(registering(m, at("file"), O.WRONLY)).toBe(1);
  expect(registering(m, at("file"), O.PATH)).toBe(-Errno.EBADF);
  expect(registering(m, at("directory"), O.RDONLY)).toBe(-Errno.EINVAL);
  for (const name of ["fifo", "socket"]) {
    expect(registering(m, at(name), O.PATH)).toBe(-Errno.EINVAL);
  }
  expect(registering(m, at("fifo"), O.RDONLY)).toBe(-Errno.EINVAL);
  expect(registering(m, "/dev/null", O.RDWR)).toBe(-Errno.EINVAL);
  expect(registering(m, "/dev/zero", O.PATH)).toBe(-Errno.EINVAL);
  expect(m.engine.port.openBacking(-1)).toBe(-Errno.EBADF);
  expect(m.engine.port.openBacking(987_654)).toBe(-Errno.EBADF);
  server.close();
});

test("an open for writing that is answered with a lower file's id is EIO, and the file is unchanged", async () => {
  const m = await start();
  writeFileSync(join(m.backing, "f"), "lower");
  const tree = native.openTree(AT.FDCWD, m.backing, OPEN_TREE.CLONE | O.CLOEXEC);
  expect(native.mountSetattr(tree, "", AT.EMPTY_PATH, MOUNT_ATTR.RDONLY, 0)).toBe(0);
  const lower = native.openat(tree, "f", O.RDONLY | O.CLOEXEC, 0);
  m.mirror.mode = "passthrough";
  m.mirror.register = () => m.engine.port.openBacking(lower);
  const opened = `
    import { closeSync, openSync, readFileSync } from "node:fs";
    const attempt = (flags) => { try { closeSync(openSync(process.argv[1] + "/f", flags)); return "opened"; } catch (error) { return error.code; } };
    console.log(attempt("r+"), attempt("a"), readFileSync(process.argv[1] + "/f", "latin1"));`;
  expect((await m.node(opened)).trim()).toBe("EIO EIO lower");
  expect(readFileSync(join(m.backing, "f"), "latin1")).toBe("lower");
  native.close(lower);
  native.close(tree);
});
