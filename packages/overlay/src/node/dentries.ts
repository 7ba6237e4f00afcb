/** The bare links between directories and the nodes in them. The table of nodes (node-table.ts) changes them and books each change. */
import type { ByteName } from "@sluice/vfs";
import type { Dentry, Node } from "./node.js";

/** The node gets one more name. */
export function addDentry(node: Node, parent: Node, name: ByteName): void {
  parent.children ??= new Map();
  parent.children.set(name, node);
  if (node.parent === undefined) {
    node.parent = parent;
    node.name = name;
  } else {
    node.others ??= [];
    node.others.push({ parent, name });
  }
}

/** The node loses one of its names; the last one of the others, if there is any, takes the place of the first. */
export function dropDentry(node: Node, parent: Node, name: ByteName): void {
  leaveDirectory(node, parent, name);
  if (node.parent === parent && node.name === name) {
    const next = node.others?.pop();
    node.parent = next?.parent;
    node.name = next?.name ?? node.name;
  } else {
    node.others = node.others?.filter((other) => other.parent !== parent || other.name !== name);
  }
  if (node.others?.length === 0) node.others = undefined;
}

/** One of the node's names becomes another one. */
export function moveDentry(node: Node, from: Dentry, to: Dentry): void {
  leaveDirectory(node, from.parent, from.name);
  to.parent.children ??= new Map();
  to.parent.children.set(to.name, node);
  if (node.parent === from.parent && node.name === from.name) {
    node.parent = to.parent;
    node.name = to.name;
    return;
  }
  const other = node.others?.find((name) => name.parent === from.parent && name.name === from.name);
  if (other !== undefined) Object.assign(other, to);
}

/** The directories of all its names no longer lead to the node, which knows them still. */
export function leaveDirectories(node: Node): void {
  if (node.parent !== undefined) leaveDirectory(node, node.parent, node.name);
  if (node.others !== undefined) for (const other of node.others) leaveDirectory(node, other.parent, other.name);
}

/** Another node may have the name by now. */
function leaveDirectory(node: Node, { children }: Node, name: ByteName): void {
  if (children?.get(name) === node) children.delete(name);
}
