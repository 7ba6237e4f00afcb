/**
 * Every path that a file may be opened by, as far as the mount knows. Policy judges these. Most files that are opened are opened
 * again, so the path of a file with one name is cached in a table of a fixed size, until something on it changes.
 */
import { type Attr, type ByteName, type NodeId, ROOT_ID } from "@sluice/vfs";
import type { LayerStack } from "../layer/layer-stack.js";
import type { Admission } from "./admit.js";
import type { NodeTable } from "./node-table.js";
import type { ForgottenName } from "./forgotten-names.js";
import { type Node, pathAt, pathOf, pathsOf } from "./node.js";

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
  readonly nodes: Pick<NodeTable, "directoryMoves" | "lowerLinks" | "get" | "forgotten">;
}

/** No path is longer: each name has a slash. */
const DEEPEST = 2_048;

/** A name that nobody has looked at since the kernel forgot the file. Undefined if its directory has no path any more. */
function unseenPath({ nodes }: LinkedNodes, { parentId, name }: ForgottenName): string | undefined {
  let path: string = name;
  let id: NodeId = parentId;
  for (let depth = 0; depth < DEEPEST; depth++) {
    if (id === ROOT_ID) return path;
    const directory = nodes.get(id);
    if (directory !== undefined) return directory.parent === undefined ? undefined : `${pathOf(directory)}/${path}`;
    const place = nodes.forgotten.get(id)?.names[0];
    if (place === undefined) return undefined;
    path = `${place.name}/${path}`;
    id = place.parentId;
  }
  return undefined;
}

/** All names of the node itself, also those that it had when the kernel forgot it. */
function allPathsOf(core: LinkedNodes, node: Node): readonly string[] {
  const unseen = node.unseenNames?.map((name) => unseenPath(core, name)).filter((path) => path !== undefined) ?? [];
  return unseen.length === 0 ? pathsOf(node) : [...new Set([...pathsOf(node), ...unseen])];
}

export class KnownPaths {
  readonly #cached = new Array<CachedPath | undefined>(PLACES).fill(undefined);

  /** The node's paths; with `attr` also those of the other nodes that share or shared its lower inode. Never empty, the node's own first. */
  of(core: LinkedNodes, node: Node, attr: Attr | undefined): readonly string[] {
    const { parent } = node;
    const hasOne = parent !== undefined && node.others === undefined && node.unseenNames === undefined;
    const paths = hasOne ? this.#single(core, node, parent) : allPathsOf(core, node);
    const keys = attr === undefined ? undefined : lowerKeysOf(node, attr);
    if (keys === undefined) return paths;
    const all = new Set(paths);
    for (const other of keys.flatMap((key) => [...(core.nodes.lowerLinks(key) ?? [])])) {
      if (other === node || (other.inUpper && other.unlinked)) continue;
      for (const path of allPathsOf(core, other)) all.add(path);
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
