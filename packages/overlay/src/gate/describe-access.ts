/** Describes an operation to the gate: an access to an object, or the creation of one. */
import { Attr, type ByteName, type CallContext, O } from "@sluice/vfs";
import type { DescribedObjects } from "./gate-context.js";
import { contentOf, withDescriptor } from "../handles/content.js";
import { type Node, pathAt } from "../node/node.js";
import { readXattrOf } from "./node-xattr.js";
import { statNode } from "../node/open-node.js";
import type { Access, Intent, Operation } from "../contract/gate.js";

const attr = new Attr();

/** An access to an object that exists, by `path` where the operation names one, else by all its names. */
export function intentOn(
  core: DescribedObjects,
  node: Node,
  what: { operation: Operation; accesses: readonly Access[]; path?: string },
): Intent {
  if (statNode(core, node, attr) < 0) attr.words.fill(0);
  const { mode, uid, gid, sizeExact } = attr;
  return {
    operation: what.operation,
    accesses: what.accesses,
    paths: what.path === undefined ? core.paths.of(core, node, attr) : [what.path],
    layer: node.top.layer.name,
    attr: { mode, uid, gid, sizeExact },
    openFlags: 0,
    readXattr: (name) => withDescriptor(core, node, { flags: O.PATH | O.NOFOLLOW, use: (fd) => readXattrOf(fd, name) }),
    content: contentOf(core, node),
  };
}

/** A creation, as far as the object is known before it exists. */
export function creationIntent(operation: Operation, made: { call: CallContext; parent: Node; name: ByteName; mode: number }): Intent {
  return {
    operation,
    accesses: ["create"],
    paths: [pathAt(made.parent, made.name)],
    layer: "upper",
    attr: { mode: made.mode, uid: made.call.uid, gid: made.call.gid, sizeExact: 0n },
    openFlags: 0,
    readXattr: () => undefined,
    content: undefined,
  };
}
