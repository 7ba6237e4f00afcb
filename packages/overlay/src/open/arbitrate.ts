/**
 * Gives an open its I/O mode: what mode-table.ts says, carried out.
 *
 * A registration that fails is classified and this one open is mediated; passthrough is never turned off for the mount.
 * (The review of FUSE passthrough asked that a fallback may not be silent: hence the reason, counted and logged.)
 */
import { Attr, Errno, S } from "@sluice/vfs";
import type { Core } from "../core.js";
import type { FallbackReason, Ruling } from "../gate/gate.js";
import { type HostLayer, statFd } from "../layer/host-layer.js";
import type { Node } from "../node/node.js";
import type { OpenFile } from "../io/handle-table.js";
import type { Backing, Identity } from "../io/inode-io.js";
import { liveFor, MODE_TABLE, type Wish } from "./mode-table.js";

const check = new Attr();

/** What an open came to. `fd` is the caller's own descriptor; it is used up by a new backing file. */
export interface Arbitration {
  file: OpenFile;
  fd: number;
  wish: Wish;
  /** By the policy, whatever became of the wish. */
  granted: boolean;
  layer: HostLayer;
  /** A registration of `fd`'s file that an earlier open left; the caller ends it where it is not used. */
  kept: Backing | undefined;
}

/**
 * What an open asks of the kernel. With coherent readers none passes through to a lower file that can be copied up: it
 * would go on with the old data then.
 */
export function wishOf(core: Core, node: Node, ruling: Ruling): Wish {
  if (ruling.watch !== undefined) return "observe";
  if (ruling.effect !== "grant") return "mediate";
  return core.config.coherentReaders && core.upper !== undefined && !node.dataLayer.writable ? "mediate" : "grant";
}

/** Sets `file.mode`, `file.fd` and `file.backing`. Returns why a granted open is mediated, or undefined. */
export function arbitrate(core: Core, open: Arbitration): FallbackReason | undefined {
  const { io } = open.file;
  const withheld = open.granted && open.wish !== "grant" ? "coherent-readers" : undefined;
  if (io.apart && open.wish !== "observe") return beside(open);
  switch (MODE_TABLE[liveFor(open.file.node, io, open.wish)][open.wish]) {
    case "passthrough":
      return io.backing === undefined ? passNewly(core, open) : join(open, io.backing, withheld);
    case "passthrough-direct":
      return join(open, io.backing as Backing, withheld);
    case "cached, counted":
      return mediate(open, "inode-cached");
    case "cached":
      return mediate(open, withheld);
    case "direct":
      return observe(open);
    // Without a name it could not be sent there (see route-open.ts).
    case "another node":
      return open.wish === "observe" ? observe(open) : beside(open);
  }
}

function passNewly(core: Core, open: Arbitration): FallbackReason | undefined {
  if (core.port.negotiated.maxStackDepth === 0) return mediate(open, "not-negotiated");
  if (open.layer.eligibility.state === "ineligible") return mediate(open, "stack-depth");
  const backing = open.kept ?? register(core, open);
  if (typeof backing === "string") return mediate(open, backing);
  open.file.io.backing = backing;
  return passThrough(open, backing);
}

/** The inode is in passthrough mode: every further open has to name the same backing file. */
function join(open: Arbitration, backing: Backing, withheld: FallbackReason | undefined): FallbackReason | undefined {
  if (open.wish === "grant" && backing.layer === open.layer) return passThrough(open, backing);
  open.file.mode = "passthrough-direct";
  open.file.fd = open.fd;
  open.file.backing = backing;
  open.file.io.passthrough++;
  return open.wish === "grant" ? "other-file" : withheld;
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

/** By the id of opens whose bytes must pass us, without a name to be sent elsewhere by: it must not bring pages to them. */
function beside(open: Arbitration): FallbackReason | undefined {
  observe(open);
  return open.granted ? "observed" : undefined;
}

function observe(open: Arbitration): undefined {
  open.file.mode = "direct";
  open.file.fd = open.fd;
  open.file.io.direct++;
}

/** Registers the very descriptor that was described to the policy, after one more look at what it is. */
function register(core: Core, open: Arbitration): Backing | FallbackReason {
  if (statFd(open.fd, check) < 0 || (check.mode & S.IFMT) !== S.IFREG) return "not-regular";
  const kept = core.kept.match(open.file.node, check);
  if (kept !== undefined) return kept;
  const id = core.port.openBacking(open.fd);
  if (id > 0) {
    if (open.layer.eligibility.state !== "eligible") open.layer.eligibility = { state: "eligible" };
    return { id, fd: open.fd, layer: open.layer, writable: open.file.write, identity: identityOf(check) };
  }
  // ELOOP is a property of the layer's file system: it would be the same for each of its files. Everything else may pass.
  if (id === -Errno.ELOOP) open.layer.eligibility = { state: "ineligible", errno: Errno.ELOOP };
  return classify(-id);
}

function identityOf({ words }: Attr): Identity {
  return { inoLo: words[0] as number, inoHi: words[1] as number, devMajor: words[22] as number, devMinor: words[23] as number };
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
