// Loaded into a server by NODE_OPTIONS=--import: once a file is open, and before the kernel is told, it writes to the file whose path
// SLUICE_WRITTEN_FILE holds, as another program might by passthrough, and kills itself.
import { existsSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { withParts } from "../harness/program-parts.mjs";

const file = process.env["SLUICE_WRITTEN_FILE"] ?? "";

/** @param {{ HandleRecords: any }} parts */
function plant({ HandleRecords }) {
  const { addFile } = HandleRecords.prototype;
  /** @this {unknown} @param {unknown[]} args */
  HandleRecords.prototype.addFile = function (...args) {
    if (!existsSync(file)) return addFile.apply(this, args);
    writeFileSync(readFileSync(file, "latin1"), "written since");
    // The next server must live.
    unlinkSync(file);
    process.kill(process.pid, "SIGKILL");
    for (;;);
  };
}

const records = new URL("../../../packages/journal/dist/handle-records.js", import.meta.url).href;
if (process.argv.includes("mount-server")) await withParts({ HandleRecords: () => import(records) }, plant);
