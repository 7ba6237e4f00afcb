/**
 * Registers a file with the kernel, so that its opens pass through.
 *
 * A failure is classified by its errno, counted and logged, and mediates this one open; passthrough is never turned off for
 * the mount. (The kernel's review of FUSE passthrough asked that a fallback is never silent.)
 */
import { Attr, Errno, S } from "@sluice/vfs";
import type { OpenContext } from "./open-context.js";
import type { FallbackReason } from "../contract/gate.js";
import type { OpenFile } from "../handles/handle-table.js";
import type { Backing, Identity } from "../node/inode-io.js";
import type { HostLayer } from "../layer/host-layer.js";
import { statFd } from "../layer/system-calls.js";

const own = new Attr();

/**
 * Registers the very descriptor that was described to the policy, if it is of a regular file. Or says why it cannot.
 * `seen`: attributes of the descriptor's file, if somebody looked: its type, inode and device never change.
 */
export function registerBacking(
  core: Pick<OpenContext, "port" | "backings">,
  file: OpenFile,
  { fd, layer, seen }: { fd: number; layer: HostLayer; seen: Attr | undefined },
): Backing | FallbackReason {
  if (seen === undefined && statFd(fd, own) < 0) return "not-regular";
  const attr = seen ?? own;
  if ((attr.mode & S.IFMT) !== S.IFREG) return "not-regular";
  const cached = core.backings.match(file.node, attr);
  if (cached !== undefined) return cached;
  const id = core.port.openBacking(fd, !layer.writable);
  if (id > 0) {
    if (layer.eligibility.state !== "eligible") layer.eligibility = { state: "eligible" };
    return { id, fd, layer, writable: file.write, identity: identityOf(attr) };
  }
  // ELOOP is a property of the layer's file system, so each of its files would get it. Any other error may pass.
  if (id === -Errno.ELOOP) layer.eligibility = { state: "ineligible", errno: Errno.ELOOP };
  return classify(-id);
}

function identityOf({ words }: Attr): Identity {
  return { inoLo: words[0] as number, inoHi: words[1] as number, devMajor: words[22] as number, devMinor: words[23] as number };
}

function classify(errno: number): FallbackReason {
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
