// Loaded into a server by NODE_OPTIONS=--import: it counts so many objects of nodes that it lets go of each idle one at each search, and
// searches whenever there are new nodes. It writes a byte to the file SLUICE_OBJECTS_FILE for each object that goes.
import { openSync, writeSync } from "node:fs";
import { withParts } from "../../fault/harness/program-parts.mjs";

const file = process.env["SLUICE_OBJECTS_FILE"] ?? "";
/** More than a mount keeps. */
const AT_FIRST = 65_536;
/** More than the growth that makes a search due. */
const GROWTH = 65_536;

/** @param {{ NodeTable: any }} parts */
function plant({ NodeTable }) {
  const fd = openSync(file, "a");
  const { letObjectGo } = NodeTable.prototype;
  let count = AT_FIRST;
  if (!("objects" in NodeTable.prototype)) throw new Error("there is no number of objects");
  Object.defineProperty(NodeTable.prototype, "objects", { get: () => (count += GROWTH) });
  /** @this {object} @param {unknown[]} args */
  NodeTable.prototype.letObjectGo = function (...args) {
    writeSync(fd, ".");
    letObjectGo.apply(this, args);
  };
}

const serves = process.argv.some((word) => word === "mount-server" || word === "mount");
if (serves)
  await withParts({ NodeTable: () => import(new URL("../../../packages/overlay/dist/node/node-table.js", import.meta.url).href) }, plant);
