/**
 * The descriptor that an open file is read by now. After a copy-up that is the upper file, as in kernel overlayfs
 * (fs/overlayfs/file.c ovl_real_file_path): whoever is mediated sees what is written. Who passes through does not.
 */
import { O } from "@sluice/vfs";
import type { IoContext } from "./io-context.js";
import { openNode } from "../node/open-node.js";
import type { OpenFile } from "../handles/handle-table.js";

export function currentFd(core: IoContext, file: OpenFile): number {
  const layer = file.node.dataLayer;
  if (file.layer === layer || file.mode === "passthrough") return file.fd;
  const fd = openNode(core, file.node, O.RDONLY);
  // Who could not reach the new file goes on with the old one.
  if (fd < 0) return file.fd;
  // Reads may be under way on the old one: it is closed with the file.
  file.formerFds ??= [];
  file.formerFds.push(file.fd);
  file.fd = fd;
  file.layer = layer;
  return fd;
}
