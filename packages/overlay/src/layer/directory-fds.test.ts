import { mkdirSync } from "node:fs";
import { Errno, O } from "@sluice/vfs";
import { scratch } from "@sluice/testkit";
import { expect, test } from "vitest";
import { DirectoryFds } from "./directory-fds.js";
import { HostLayer, RealDir } from "./host-layer.js";
import { sys } from "./system-calls.js";
import { withFault } from "./testing/with-fault.js";

function layerOver(folder: string): HostLayer {
  return new HostLayer(0, "lower0", { path: folder, rootFd: sys.openat(-1, folder, O.PATH | O.DIRECTORY | O.CLOEXEC, 0) }, false);
}

test("opens the rest of a path later if the process had no descriptors left", () => {
  const folder = scratch();
  mkdirSync(`${folder}/a/b`, { recursive: true });
  const layer = layerOver(folder);
  const fds = new DirectoryFds(64);
  const a = new RealDir(layer, layer.root, "a");
  const b = new RealDir(layer, a, "b");
  expect(withFault({ call: "openat", errno: Errno.EMFILE, after: 1 }, () => fds.of(b))).toBe(-Errno.EMFILE);
  expect([a.fd >= 0, b.fd, fds.size]).toEqual([true, -1, 1]);
  expect(fds.of(b)).toBeGreaterThanOrEqual(0);
  expect(fds.size).toBe(2);
  fds.closeAll();
  layer.close();
});
