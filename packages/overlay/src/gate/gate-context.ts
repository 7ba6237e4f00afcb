/** What a judgement looks at. An operation's own context has more; `govern` hands it through without knowing it. */
import type { Gate } from "../contract/gate.js";
import type { OpenFiles } from "../handles/handle-table.js";
import type { KnownPaths } from "../node/known-paths.js";
import type { NodeTable } from "../node/node-table.js";

export interface GateContext {
  readonly gate: Gate;
}

/** Besides, what describes the object of an access. */
export interface DescribedObjects extends OpenFiles {
  readonly nodes: NodeTable;
  readonly paths: KnownPaths;
}
