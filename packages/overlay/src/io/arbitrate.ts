/**
 * Which I/O mode an open gets, from what it was granted and what is open of the inode already.
 *
 * | open now            | granted                       | mediated                  |
 * |---------------------|-------------------------------|---------------------------|
 * | nothing             | passthrough (registered)      | cached                    |
 * | passthrough         | passthrough, same backing id  | passthrough-direct, same id: reads and writes come to us |
 * | cached              | cached, counted as a fallback | cached                    |
 *
 * A registration that fails is classified and this one open is mediated; passthrough is never turned off for the mount.
 * (The review of FUSE passthrough asked that a fallback may not be silent: hence the reason, counted and logged.)
 */
import { Attr, Errno, S } from "@sluice/vfs";
import type { Core } from "../core.js";
import type { FallbackReason } from "../gate/gate.js";
import { type HostLayer, statFd } from "../layer/host-layer.js";
import type { OpenFile } from "./handle-table.js";
import type { Backing } from "./inode-io.js";

const check = new Attr();

/** What an open came to. `fd` is the caller's own descriptor; it is used up by a new backing file. */
export interface Arbitration {
  file: OpenFile;
  fd: number;
  granted: boolean;
  layer: HostLayer;
}

/** Sets `file.mode`, `file.fd` and `file.backing`. Returns why a granted open is mediated, or undefined. */
export function arbitrate(core: Core, open: Arbitration): FallbackReason | undefined {
  const { io } = open.file;
  if (io.passthrough > 0 && io.backing !== undefined) return join(open, io.backing);
  if (!open.granted) return mediate(open, undefined);
  if (io.cached > 0) return mediate(open, "inode-cached");
  if (core.port.negotiated.maxStackDepth === 0) return mediate(open, "not-negotiated");
  if (open.layer.eligibility.state === "ineligible") return mediate(open, "stack-depth");
  const backing = register(core, open);
  if (typeof backing === "string") return mediate(open, backing);
  io.backing = backing;
  return passThrough(open, backing);
}

/** The inode is in passthrough mode: every further open has to name the same backing file. */
function join(open: Arbitration, backing: Backing): FallbackReason | undefined {
  if (open.granted && backing.layer === open.layer) return passThrough(open, backing);
  open.file.mode = "passthrough-direct";
  open.file.fd = open.fd;
  open.file.backing = backing;
  open.file.io.passthrough++;
  return open.granted ? "other-file" : undefined;
}

function passThrough(open: Arbitration, backing: Backing): undefined {
  const { file } = open;
  file.mode = "passthrough";
  file.backing = backing;
  // A writer needs a descriptor that fallocate and the like take, where the first open was a reader's.
  file.fd = file.write && !backing.writable ? open.fd : backing.fd;
  file.io.passthrough++;
}

function mediate(open: Arbitration, reason: FallbackReason | undefined): FallbackReason | undefined {
  open.file.mode = "cached";
  open.file.fd = open.fd;
  open.file.io.cached++;
  return reason;
}

/** Registers the very descriptor that was described to the policy, after one more look at what it is. */
function register(core: Core, open: Arbitration): Backing | FallbackReason {
  if (statFd(open.fd, check) < 0 || (check.mode & S.IFMT) !== S.IFREG) return "not-regular";
  const id = core.port.openBacking(open.fd);
  if (id > 0) {
    open.layer.eligibility = { state: "eligible" };
    return { id, fd: open.fd, layer: open.layer, writable: open.file.write };
  }
  // ELOOP is a property of the layer's file system: it would be the same for each of its files. Everything else may pass.
  if (id === -Errno.ELOOP) open.layer.eligibility = { state: "ineligible", errno: Errno.ELOOP };
  return classify(-id);
}

export function classify(errno: number): FallbackReason {
  switch (errno) {
    case Errno.ELOOP:
      return "stack-depth";
    case Errno.EPERM:
      return "permission";
    case Errno.ENFILE:
    case Errno.EMFILE:
      return "file-table";
    case Errno.ENOMEM:
      return "memory";
    case Errno.EINVAL:
    case Errno.EISDIR:
    case Errno.EBADF:
      return "invalid";
    default:
      return "io";
  }
}
