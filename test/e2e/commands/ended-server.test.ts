/** A server that ends with a request unread, such as one that hands over at that moment: the next server gets the request. */
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { cleanUp, file, mountSluice, plant, requires, runSluice, scratch } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

/** Passes connections on, but ends so many requests for an unmount without an answer. */
async function endingFirst(ends: number, socketPath: string, path: string): Promise<Server> {
  let ended = 0;
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", (line) => {
      if (line.includes('"unmount"') && ended++ < ends) return socket.destroy();
      const next = connect(socketPath);
      next.write(line);
      return next.pipe(socket);
    });
  });
  cleanUp(() => void server.close());
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return server;
}

async function unmountWhile(ends: number): Promise<{ code: number | null; stdout: string; stderr: string; live: boolean }> {
  const [real, shown] = [join(scratch(), "real.sock"), join(scratch(), "shown.sock")];
  const mount = await mountSluice({ lowers: [plant(scratch(), { a: file("a") })], args: ["--control", real], ownProcess: true });
  await endingFirst(ends, real, shown);
  const { code, stdout, stderr } = await runSluice(["unmount", "--control", shown, mount.mountpoint]);
  const live = (await runSluice(["status", "--control", real, mount.mountpoint])).code === 0;
  if (live) await mount.stop();
  const without = (text: string): string => text.replaceAll(mount.mountpoint, "/mnt");
  return { code, stdout: without(stdout), stderr: without(stderr), live };
}

test("'sluice unmount' asks the next server if one ends before it answers", async () => {
  expect(await unmountWhile(2)).toEqual({ code: 0, stdout: "unmounted /mnt\n", stderr: "", live: false });
});

test("'sluice unmount' does not ask for ever", async () => {
  const stderr = "sluice: /mnt: the daemon ended before it answered (EPIPE): see its log\n";
  expect(await unmountWhile(9)).toEqual({ code: 1, stdout: "", stderr, live: true });
});
