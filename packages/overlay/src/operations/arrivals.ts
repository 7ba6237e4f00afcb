/** Names that come into a directory while a rename that takes it along is judged: the rename has to judge them, too. */
import type { ByteName } from "@sluice/vfs";
import type { Node } from "../node/node.js";

/** A rename under judgement. */
export interface PendingMove {
  /** A call on the mount gave the directory this name. */
  arrived(parent: Node, name: ByteName): void;
}

/** To be called by everything that gives a directory a name. */
export function arrived(core: { readonly pendingMoves: ReadonlySet<PendingMove> }, parent: Node, name: ByteName): void {
  for (const move of core.pendingMoves) move.arrived(parent, name);
}
