/**
 * What an open would be, without opening: which object serves a path, as the gate would hear of it, and how its I/O would
 * flow. Nothing is counted, nothing stays behind, and no content is touched.
 */
import { type ByteName, Errno } from "@sluice/vfs";
import type { Core } from "../core.js";
import { intentOn } from "../gate/describe-access.js";
import type { Access, FallbackReason, Flow, Intent, Ruling } from "../gate/gate.js";
import type { Node } from "../node/node.js";
import { childOf } from "../operations/lookup.js";
import { wishOf } from "./arbitrate.js";
import { liveFor, MODE_TABLE } from "./mode-table.js";

/** How it would be opened under a ruling. */
export interface ExpectedOpen {
  flow: Flow;
  /** Why a granted one would be mediated, or go by another way. */
  because: FallbackReason | undefined;
  /** The file would be copied up first. */
  copiesUp: boolean;
}

export interface Explained {
  intent: Intent;
  /** "regular", or what else it is: only regular files are opened through the daemon. */
  isRegular: boolean;
  /** The layer that holds the content, where it is another one than that of the object (metacopy). */
  dataLayer: string;
  expect(ruling: Ruling): ExpectedOpen;
}

const CHANGES: ReadonlySet<Access> = new Set(["write", "truncate", "metadata"]);

function expected(core: Core, node: Node, accesses: readonly Access[], ruling: Ruling): ExpectedOpen {
  const copiesUp = accesses.some((access) => CHANGES.has(access)) && !node.copiedUp;
  const wish = wishOf(core, node, ruling);
  const mediated = (because?: FallbackReason): ExpectedOpen => ({ flow: "mediated", because, copiesUp });
  if (wish !== "grant") return mediated(ruling.effect === "grant" ? "coherent-readers" : undefined);
  // Once it is copied up it has no other opens in the way.
  if (!copiesUp && MODE_TABLE[liveFor(node, node.io, wish)][wish] === "cached, counted") return mediated("inode-cached");
  if (core.port.negotiated.maxStackDepth === 0) return mediated("not-negotiated");
  const layer = copiesUp && core.upper !== undefined ? core.upper : node.dataLayer;
  return layer.eligibility.state === "ineligible" ? mediated("stack-depth") : { flow: "passthrough", because: undefined, copiesUp };
}

function walk(core: Core, names: readonly ByteName[], visited: Node[]): Node | number {
  let node: Node = core.root;
  for (const name of names) {
    if (!node.isDirectory) return Errno.ENOTDIR;
    const child = childOf(core, node, name);
    if (typeof child === "number") return child;
    visited.push(child);
    node = child;
  }
  return node;
}

/** `names` from the root of the mount. Gives what `use` makes of it, or the errno. No link is followed. */
export function explainOpen<Result>(
  core: Core,
  what: { names: readonly ByteName[]; accesses: Access[] },
  use: (explained: Explained) => Result,
): Result | number {
  const visited: Node[] = [];
  const node = walk(core, what.names, visited);
  try {
    if (typeof node === "number") return node;
    const writes = what.accesses.some((access) => CHANGES.has(access));
    if (writes && core.upper === undefined) return Errno.EROFS;
    return use({
      intent: intentOn(core, node, { operation: "open", accesses: what.accesses }),
      isRegular: node.isRegular,
      dataLayer: node.isRegular ? node.dataLayer.name : node.top.layer.name,
      expect: (ruling) => expected(core, node, what.accesses, ruling),
    });
  } finally {
    for (const each of visited.reverse()) core.nodes.letGo(each);
  }
}
