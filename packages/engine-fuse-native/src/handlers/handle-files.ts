/** Open files. */
import { type ReleaseArgs, Errno, O } from "@sluice/vfs";
import type { OpenHandle } from "../requests/open-handles.js";
import { onNode, type Operation, type Server, withHandle } from "./operation.js";
import { DataInto, type Request } from "../requests/request.js";

/** After the count comes the buffer, which the addon takes back with every answer. */
const dataBuffer = { failed: (request: Request): unknown[] => [0, request.bytes(2).buffer] };

function releaseArgs(open: OpenHandle): ReleaseArgs {
  return { handle: open.handle, flags: open.flags, lockOwner: 0n, flockRelease: false };
}

export const open: Operation = {
  failed: () => [0],
  run: (server, request) =>
    onNode(server, request, request.text(0), async (node) => {
      const flags = request.number(1);
      const errno = await server.filesystem.open(request, node.nodeId, flags, request.open);
      if (errno !== 0) return errno;
      request.extras = [server.handles.add({ node: node.use(), handle: request.open.handle, flags, directory: false })];
      return 0;
    }),
};

export const read: Operation = {
  ...dataBuffer,
  run: (server, request) =>
    withHandle(server, request, 1, async ({ node, handle, flags }) => {
      const data = new DataInto(request.bytes(2));
      const args = { handle, offset: request.offset(4), size: request.number(3), flags };
      const errno = await server.filesystem.read(request, node.nodeId, args, data);
      if (errno !== 0) return errno;
      if (data.finish() === false) return Errno.EIO;
      request.count = data.length;
      request.extras = [0, request.bytes(2).buffer];
      return 0;
    }),
};

export const write: Operation = {
  ...dataBuffer,
  run: (server, request) =>
    withHandle(server, request, 1, async ({ node, handle, flags }) => {
      const bytes = request.bytes(2);
      const written = { length: 0 };
      // For an append, the kernel has found the end of the file; a page that it writes back has its own offset.
      const placed = flags & ~O.APPEND;
      const args = {
        handle,
        offset: request.offset(4),
        size: bytes.length,
        flags: placed,
        data: bytes,
        killSuidgid: false,
        fromPage: false,
        lockOwner: 0n,
      };
      const errno = await server.filesystem.write(request, node.nodeId, args, written);
      if (errno !== 0) return errno;
      request.count = written.length;
      request.extras = [0, bytes.buffer];
      return 0;
    }),
};

export const flush: Operation = {
  run: (server, request) => withHandle(server, request, 1, (open) => server.filesystem.flush(request, open.node.nodeId, releaseArgs(open))),
};

export const fsync: Operation = {
  run: (server, request) =>
    withHandle(server, request, 2, ({ node, handle }) => server.filesystem.fsync(request, node.nodeId, handle, request.number(1) !== 0)),
};

async function releaseFile(server: Server, request: Request, open: OpenHandle): Promise<number> {
  try {
    return await server.filesystem.release(request, open.node.nodeId, releaseArgs(open));
  } finally {
    if (!server.handles.hasNode(open.node.nodeId)) server.walk.hidden.removeNode(open.node.nodeId);
    open.node.letGo();
  }
}

export const release: Operation = {
  run(server, request) {
    const open = server.handles.take(request.number(1));
    return open === undefined ? Errno.EBADF : releaseFile(server, request, open);
  },
};
