/** Creations, removals, rename and link. */
import { Errno, O, S } from "@sluice/vfs";
import { HeldNode } from "../paths/held-node.js";
import { isHiding } from "../paths/hidden-names.js";
import { bytesOf } from "../paths/names.js";
import { atName, forgetEntry, onNode, type Operation, type Server } from "./operation.js";
import type { LocatedName } from "../paths/path-walk.js";
import type { Request } from "../requests/request.js";

/** The kernel has applied the umask already. */
const UMASK = 0;
const at = (located: LocatedName): { parent: number; name: string } => ({ parent: located.parent.nodeId, name: located.name });

/** A new file belongs to the daemon's user, whoever the caller is, so it must not run as its owner or group. */
function creationMode(mode: number): number {
  return mode & (S.IFMT | 0o1777);
}

async function made(server: Server, request: Request, status: number | Promise<number>): Promise<number> {
  const errno = await status;
  if (errno === 0) forgetEntry(server, request);
  return errno;
}

export const mknod: Operation = {
  run: (server, request) =>
    atName(server, request, request.text(0), (located) => {
      const args = { mode: creationMode(request.number(1)), umask: UMASK, rdev: request.number(2) };
      return made(server, request, server.filesystem.mknod(request, at(located), args, request.entry));
    }),
};

export const mkdir: Operation = {
  run: (server, request) =>
    atName(server, request, request.text(0), (located) => {
      const args = { mode: S.IFDIR | creationMode(request.number(1)), umask: UMASK, rdev: 0 };
      return made(server, request, server.filesystem.mkdir(request, at(located), args, request.entry));
    }),
};

export const symlink: Operation = {
  run: (server, request) =>
    atName(server, request, request.text(1), (located) => {
      const target = bytesOf(request.text(0));
      if (target === undefined) return Errno.EILSEQ;
      return made(server, request, server.filesystem.symlink(request, at(located), target, request.entry));
    }),
};

export const link: Operation = {
  run: (server, request) =>
    onNode(server, request, request.text(0), (node) =>
      atName(server, request, request.text(1), (located) =>
        made(server, request, server.filesystem.link(request, node.nodeId, at(located), request.entry)),
      ),
    ),
};

/** The caller's flags do not arrive here: its handle can do everything that flags could have asked for. */
const CREATE_FLAGS = O.RDWR | O.CREAT;

export const create: Operation = {
  failed: () => [0],
  run: (server, request) =>
    atName(server, request, request.text(0), async (located) => {
      const args = { mode: S.IFREG | creationMode(request.number(1)), umask: UMASK, flags: CREATE_FLAGS, killSuidgid: false };
      const out = { entry: request.entry, open: request.open };
      const errno = await server.filesystem.create(request, at(located), args, out);
      if (errno !== 0) return errno;
      const node = new HeldNode(request.entry.nodeId, server.filesystem);
      request.extras = [server.handles.add({ node, handle: request.open.handle, flags: O.RDWR, directory: false })];
      return 0;
    }),
};

export const unlink: Operation = {
  async run(server, request) {
    const path = request.text(0);
    if (server.walk.hidden.remove(path)) return 0;
    return atName(server, request, path, (located) => server.filesystem.unlink(request, located.parent.nodeId, located.name));
  },
};

export const rmdir: Operation = {
  async run(server, request) {
    const path = request.text(0);
    const errno = await atName(server, request, path, (located) => server.filesystem.rmdir(request, located.parent.nodeId, located.name));
    if (errno === 0) server.walk.removed(path);
    return errno;
  },
};

/** libfuse moves an open file out of the way of an unlink or a rename. Undefined if it is another operation. */
async function hide(server: Server, request: Request, from: LocatedName, to: string): Promise<number | undefined> {
  const node = await server.walk.child(request, from, request.entry);
  if (typeof node === "number") return node;
  if (!server.handles.hasNode(node.nodeId)) {
    node.letGo();
    return undefined;
  }
  const errno = await server.filesystem.unlink(request, from.parent.nodeId, from.name);
  if (errno === 0) server.walk.hidden.add(to, node);
  else node.letGo();
  return errno;
}

async function move(server: Server, request: Request, from: LocatedName, to: LocatedName): Promise<number> {
  const names = { parent: from.parent.nodeId, name: from.name, newParent: to.parent.nodeId, newName: to.name };
  const errno = await server.filesystem.rename(request, { ...names, flags: 0 });
  if (errno === 0) server.walk.moved(request.text(0), request.text(1));
  return errno;
}

export const rename: Operation = {
  run: (server, request) =>
    atName(server, request, request.text(0), async (from) => {
      if (isHiding(request.text(0), request.text(1))) {
        const hidden = await hide(server, request, from, request.text(1));
        if (hidden !== undefined) return hidden;
      }
      return atName(server, request, request.text(1), (to) => move(server, request, from, to));
    }),
};
