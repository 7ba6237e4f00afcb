/** Describes an operation to the gate: an access to an object, or the creation of one. */
import { Attr, type ByteName, O } from "@sluice/vfs";
import { attributesToBe, type ObjectToMake } from "./attributes-to-be.js";
import type { DescribedObjects } from "./gate-context.js";
import { contentOf, withDescriptor } from "../handles/content.js";
import { type Node, pathAt } from "../node/node.js";
import { readXattrOf } from "./node-xattr.js";
import { statNode } from "../node/open-node.js";
import type { Access, Intent, IntentAttr, Operation } from "../contract/gate.js";
import type { DirectoryAccess } from "../layer/layer-stack.js";

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

/** The name of an object that is about to be made, and the accesses that its creation needs. */
export interface ObjectToName extends ObjectToMake {
  name: ByteName;
  accesses: readonly Access[];
  openFlags: number;
}

/** A creation. The attributes are found out when the gate looks at them. */
export function creationIntent(core: DirectoryAccess, operation: Operation, made: ObjectToName): Intent {
  let attributes: IntentAttr | undefined;
  return {
    operation,
    accesses: made.accesses,
    paths: [pathAt(made.parent, made.name)],
    layer: "upper",
    get attr() {
      attributes ??= attributesToBe(core, made);
      return attributes;
    },
    openFlags: made.openFlags,
    readXattr: () => undefined,
    content: undefined,
  };
}
