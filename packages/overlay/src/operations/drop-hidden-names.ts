/**
 * The policy hides other names than before: the kernel drops cached names that are hidden now, and every cached listing. It caches no
 * hidden name as missing (lookup.ts), so names that are shown again need nothing but the listings. Takes turns.
 */
import { type ByteName, LoopTurn } from "@sluice/vfs";
import type { OperationContext } from "./operation-context.js";
import { hidesName } from "../gate/hidden.js";
import type { Node } from "../node/node.js";

/** No directory has it. The kernel waits for a listing under way before it looks for the name (fs/fuse/dir.c fuse_reverse_inval_entry). */
const NO_NAME = "\x01";

export async function dropHiddenNames(core: OperationContext): Promise<void> {
  const { gate, journal, root } = core;
  // A process that takes over need not restore every node if nothing was hidden before it.
  if (!gate.hidesNames && journal?.mayHaveHidden(root) === false) return;
  // Written before a listing lacks a name, and taken back once no listing does.
  if (gate.hidesNames) journal?.hidesNames(root, true);
  await dropAll(core);
  if (!gate.hidesNames) journal?.hidesNames(root, false);
}

async function dropAll(core: OperationContext): Promise<void> {
  const turn = new LoopTurn();
  // Those without an object first, since calls restore some of them meanwhile.
  for (const { parent, name } of core.nodes.restorable?.names() ?? []) {
    dropIfHidden(core, parent, name);
    if (turn.isOver) await turn.next();
  }
  for (const node of core.nodes.all()) {
    dropNames(core, node);
    if (turn.isOver) await turn.next();
  }
}

function dropNames(core: OperationContext, node: Node): void {
  if (node.parent !== undefined) dropIfHidden(core, node.parent, node.name);
  for (const other of node.others ?? []) dropIfHidden(core, other.parent, other.name);
  if (!node.isDirectory) return;
  core.port.invalidateEntry(node.id, NO_NAME, false);
  core.port.invalidateInode(node.id, 0, 0);
}

function dropIfHidden(core: OperationContext, parent: Node, name: ByteName): void {
  if (hidesName(core, parent, name)) core.port.invalidateEntry(parent.id, name, false);
}
