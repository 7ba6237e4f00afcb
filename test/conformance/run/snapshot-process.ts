/** Writes the content of a mounted tree as JSON. A process of its own, since a failing file system may never answer. */
import { writeFileSync } from "node:fs";
import { lookHere } from "../tree/look-here.js";

const [path = "", output = ""] = process.argv.slice(2);
writeFileSync(output, JSON.stringify(lookHere({ kind: "merged", path })));
