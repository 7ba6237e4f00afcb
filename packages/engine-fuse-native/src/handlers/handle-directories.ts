/** Open directories. The addon's readdir names no handle and needs the whole listing at once, so it opens one for itself. */
import { type DirectoryEntry, type DirectoryOut, Errno, type FileOffset, O } from "@sluice/vfs";
import { textOfBytes } from "../paths/names.js";
import { onNode, type Operation, type Server, withHandle } from "./operation.js";
import { Request } from "../requests/request.js";
import { entryStat } from "../addon/stat-words.js";

/** Takes every entry. Names that the addon cannot carry are left out: see capabilities.ts, byteNames. */
class WholeListing implements DirectoryOut {
  readonly names: string[] = [];
  readonly stats: Uint32Array[] = [];
  readonly scratch = new Request([], Buffer.alloc(0)).entry;
  taken = 0;
  /** Cookie of the entry after the last one. */
  offset: FileOffset = 0;

  add(entry: DirectoryEntry): boolean {
    this.taken++;
    this.offset = entry.offset;
    const name = textOfBytes(entry.name);
    if (name === undefined) return true;
    this.names.push(name);
    this.stats.push(entryStat(entry.inoLo, entry.inoHi, entry.type));
    return true;
  }
  fitsPlus(): boolean {
    return true;
  }
  addPlus(entry: DirectoryEntry): boolean {
    return this.add(entry);
  }
}

async function listAll(server: Server, request: Request, node: number): Promise<number> {
  const opened = await server.filesystem.opendir(request, node, O.RDONLY | O.DIRECTORY, request.open);
  if (opened !== 0) return opened;
  const { handle } = request.open;
  const listing = new WholeListing();
  try {
    for (let before = -1; listing.taken !== before; ) {
      before = listing.taken;
      const errno = await server.filesystem.readdir(request, node, { handle, offset: listing.offset, plus: false }, listing);
      if (errno !== 0) return errno;
    }
    request.extras = [listing.names, listing.stats];
    return 0;
  } finally {
    await server.filesystem.releasedir(request, node, handle);
  }
}

export const readdir: Operation = {
  failed: () => [[], []],
  run: (server, request) => onNode(server, request, request.text(0), (node) => listAll(server, request, node.nodeId)),
};

export const opendir: Operation = {
  failed: () => [0],
  run: (server, request) =>
    onNode(server, request, request.text(0), async (node) => {
      const flags = request.number(2);
      const errno = await server.filesystem.opendir(request, node.nodeId, flags, request.open);
      if (errno !== 0) return errno;
      request.extras = [server.handles.add({ node: node.use(), handle: request.open.handle, flags, directory: true })];
      return 0;
    }),
};

export const releasedir: Operation = {
  async run(server, request) {
    const open = server.handles.take(request.number(1));
    if (open === undefined) return Errno.EBADF;
    try {
      return await server.filesystem.releasedir(request, open.node.nodeId, open.handle);
    } finally {
      open.node.letGo();
    }
  },
};

export const fsyncdir: Operation = {
  run: (server, request) =>
    withHandle(server, request, 2, ({ node, handle }) => server.filesystem.fsyncdir(request, node.nodeId, handle, request.number(1) !== 0)),
};
