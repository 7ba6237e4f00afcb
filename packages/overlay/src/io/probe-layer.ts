/** Finds out whether files of a layer can pass through, by registering one and ending the registration. */
import { DT, Errno, O } from "@sluice/vfs";
import type { IoContext } from "./io-context.js";
import { parseDirents } from "../layer/dirents.js";
import type { HostLayer } from "../layer/host-layer.js";
import { closeFd, openDirectory, openName, sys } from "../layer/system-calls.js";

/** A probe looks into no more directories. A layer without files near its root is tried with its first open. */
const MAX_DIRECTORIES = 32;
const bytes = Buffer.alloc(16_384);

export function probeLayer(core: IoContext, layer: HostLayer): void {
  if (core.port.negotiated.maxStackDepth === 0) return;
  const queue: number[] = [openDirectory(layer.root.fd)];
  for (let seen = 0; queue.length > 0; seen++) {
    const fd = queue.shift() as number;
    if (fd < 0) continue;
    if (seen < MAX_DIRECTORIES && layer.eligibility.state === "unknown") lookInto(core, layer, { fd, queue });
    closeFd(fd);
  }
}

function lookInto(core: IoContext, layer: HostLayer, at: { fd: number; queue: number[] }): void {
  const length = sys.getdents64(at.fd, bytes);
  if (length <= 0) return;
  const files: string[] = [];
  const directories: string[] = [];
  parseDirents(bytes, length, (name, _lo, _hi, type) => {
    if (type === DT.REG) files.push(name);
    else if (type === DT.DIR && name !== "." && name !== "..") directories.push(name);
  });
  for (const name of files) {
    if (tryFile(core, layer, openName(at.fd, name, O.RDONLY | O.NONBLOCK, 0))) return;
  }
  for (const name of directories.slice(0, MAX_DIRECTORIES - at.queue.length))
    at.queue.push(openName(at.fd, name, O.RDONLY | O.DIRECTORY, 0));
}

/** True if the layer's eligibility is known now. */
function tryFile(core: IoContext, layer: HostLayer, fd: number): boolean {
  if (fd < 0) return false;
  const id = core.port.openBacking(fd);
  closeFd(fd);
  if (id > 0) {
    core.port.closeBacking(id);
    layer.eligibility = { state: "eligible" };
    return true;
  }
  if (id !== -Errno.ELOOP) return false;
  layer.eligibility = { state: "ineligible", errno: Errno.ELOOP };
  return true;
}
