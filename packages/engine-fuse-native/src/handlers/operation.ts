/** The rows of the table of operations, and their way to nodes. */
import { Errno, type Filesystem, type NodeId, type Status } from "@sluice/vfs";
import type { HeldNode } from "../paths/held-node.js";
import type { OpenHandle, OpenHandles } from "../requests/open-handles.js";
import type { PathWalk, LocatedName } from "../paths/path-walk.js";
import type { Request } from "../requests/request.js";

export interface Server {
  readonly filesystem: Filesystem;
  readonly walk: PathWalk;
  readonly handles: OpenHandles;
}

export interface Operation {
  /** A positive errno, or 0: then `request.count` and `request.extras` are the answer. May reject or throw. */
  run(server: Server, request: Request): Status;
  /** The addon's further results besides an errno: it reads these in any case. */
  failed?(request: Request): readonly unknown[];
}

/** Runs `use` on the node of `path`; once more if the filesystem gave the node a new id meanwhile (ESTALE), as the kernel does. */
export async function onNode(server: Server, request: Request, path: string, use: (node: HeldNode) => Status): Promise<number> {
  const first = await onNodeOnce(server, request, path, use);
  if (first !== Errno.ESTALE) return first;
  server.walk.directories.clear();
  return onNodeOnce(server, request, path, use);
}

async function onNodeOnce(server: Server, request: Request, path: string, use: (node: HeldNode) => Status): Promise<number> {
  const node = await server.walk.node(request, path, request.entry);
  if (typeof node === "number") return node;
  try {
    return await use(node);
  } finally {
    node.letGo();
  }
}

/** Runs `use` on the directory and name of `path`. */
export async function atName(server: Server, request: Request, path: string, use: (located: LocatedName) => Status): Promise<number> {
  const located = await server.walk.locate(request, path, request.entry);
  if (typeof located === "number") return located;
  try {
    return await use(located);
  } finally {
    located.parent.letGo();
  }
}

/** The open handle that libfuse names in argument `index`. */
export function withHandle(server: Server, request: Request, index: number, use: (open: OpenHandle) => Status): Status {
  const open = server.handles.get(request.number(index));
  return open === undefined ? Errno.EBADF : use(open);
}

/** The entry of a new object counts a lookup that nobody needs. */
export function forgetEntry(server: Server, request: Request): void {
  const made: NodeId = request.entry.nodeId;
  if (made !== 0) server.filesystem.forget(made, 1);
}
