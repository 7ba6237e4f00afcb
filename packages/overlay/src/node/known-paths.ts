/**
 * Every path that a file may be opened by, as far as the mount knows. Policy judges these. Most files that are opened are opened
 * again, so the path of a file with one name is cached in a table of a fixed size, until something on it changes.
 */
import type { Attr, ByteName } from "@sluice/vfs";
import type { LayerStack } from "../layer/layer-stack.js";
import type { Admission } from "./admit.js";
import type { NodeTable } from "./node-table.js";
import { type Node, pathAt, pathsOf } from "./node.js";

/** As many as a mount caches backing files: files that are opened again and again are in both caches. */
const PLACES = 4_096;
const NONE: readonly string[] = [];

interface CachedPath {
  /** Undefined once the node is gone: a reference would keep it in memory. */
  node: Node | undefined;
  parent: Node | undefined;
  name: ByteName;
  /** NodeTable.directoryMoves as it was. */
  moves: number;
  paths: readonly string[];
}

/** The part of the nodes that paths depend on. */
interface LinkedNodes {
  readonly nodes: Pick<NodeTable, "directoryMoves" | "lowerLinks">;
}

export class KnownPaths {
  readonly #cached = new Array<CachedPath | undefined>(PLACES).fill(undefined);

  /** The node's paths; with `attr` also those of the other nodes that share or shared its lower inode. Never empty, the node's own first. */
  of(core: LinkedNodes, node: Node, attr: Attr | undefined): readonly string[] {
    const paths = node.parent === undefined || node.others !== undefined ? pathsOf(node) : this.#single(core, node, node.parent);
    const keys = attr === undefined ? undefined : lowerKeysOf(node, attr);
    if (keys === undefined) return paths;
    const all = new Set(paths);
    for (const other of keys.flatMap((key) => [...(core.nodes.lowerLinks(key) ?? [])])) {
      if (other === node || (other.inUpper && other.unlinked)) continue;
      for (const path of pathsOf(other)) all.add(path);
    }
    return [...all];
  }

  #single(core: LinkedNodes, node: Node, parent: Node): readonly string[] {
    const moves = core.nodes.directoryMoves;
    const cached = (this.#cached[node.id % PLACES] ??= { node: undefined, parent: undefined, name: "", moves, paths: NONE });
    if (cached.node === node && cached.parent === parent && cached.name === node.name && cached.moves === moves) return cached.paths;
    cached.node = node;
    cached.parent = parent;
    cached.name = node.name;
    cached.moves = moves;
    cached.paths = [pathAt(parent, node.name)];
    return cached.paths;
  }

  /** The node is gone. */
  drop(node: Node): void {
    const cached = this.#cached[node.id % PLACES];
    if (cached?.node !== node) return;
    cached.node = undefined;
    cached.parent = undefined;
    cached.paths = NONE;
  }
}

/** Of the files in a lower layer that the node is, or was before its copy-ups. Undefined if it is known by no other names. */
function lowerKeysOf(node: Node, attr: Attr): readonly string[] | undefined {
  if (node.inUpper || attr.nlink < 2) return node.partedKeys;
  return [node.top.layer.fileKey(attr), ...(node.partedKeys ?? [])];
}

/** The nodes of a mount, and the layers that their objects lie in. */
export interface NodeStore extends LayerStack, Admission {
  readonly paths: KnownPaths;
}
