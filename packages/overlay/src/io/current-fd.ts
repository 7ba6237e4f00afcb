/**
 * The descriptor that an open file is read by now. After a copy-up this is the upper file's, as in kernel overlayfs
 * (fs/overlayfs/file.c ovl_real_file_path): a mediated reader sees what is written there. A passthrough reader does not.
 */
import { O } from "@sluice/vfs";
import type { IoContext } from "./io-context.js";
import { openNode } from "../node/open-node.js";
import type { OpenFile } from "../handles/handle-table.js";

export function currentFd(core: IoContext, file: OpenFile): number {
  const layer = file.node.dataLayer;
  if (file.layer === layer || file.mode === "passthrough") return file.fd;
  const fd = openNode(core, file.node, O.RDONLY);
  // If the new file cannot be opened, the old one serves on.
  if (fd < 0) return file.fd;
  // Reads may be under way on the old one: it is closed with the file.
  file.formerFds ??= [];
  file.formerFds.push(file.fd);
  file.fd = fd;
  file.layer = layer;
  return fd;
}
