/** The part of the overlay that a judgement looks at. `govern` hands an operation its own, larger context without knowing it. */
import type { Gate } from "../contract/gate.js";
import type { OpenFiles } from "../handles/handle-table.js";
import type { KnownPaths } from "../node/known-paths.js";
import type { NodeTable } from "../node/node-table.js";

export interface GateContext {
  readonly gate: Gate;
}

/** The tables by which the object of an access is described. */
export interface DescribedObjects extends OpenFiles {
  readonly nodes: NodeTable;
  readonly paths: KnownPaths;
}
