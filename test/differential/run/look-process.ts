/** Writes the content of a mounted tree as JSON. A process of its own, since a failing file system may never answer. Arguments: output, path. */
import { writeFileSync } from "node:fs";
import { lookHere } from "../../conformance/tree/look-here.js";

const [output = "", path = ""] = process.argv.slice(2);
writeFileSync(output, JSON.stringify(lookHere({ kind: "merged", path })));
