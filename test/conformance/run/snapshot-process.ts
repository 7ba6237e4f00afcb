/** Prints the content of a tree as a line of JSON. A process of its own, since a failing file system may never answer. */
import { native } from "@sluice/native";
import { AT, O } from "@sluice/vfs";
import { writeFileSync } from "node:fs";
import { openQuietly } from "../tree/open-quietly.js";
import { snapshotTree } from "../tree/snapshot-tree.js";

const [kind, path = "", output = ""] = process.argv.slice(2);
const fd = kind === "merged" ? native.openat(AT.FDCWD, path, O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0) : openQuietly(path);
if (fd < 0) throw new Error(`${path} cannot be opened (${fd})`);
writeFileSync(output, JSON.stringify(snapshotTree(fd, { exact: kind === "lower", upper: kind === "upper" })));
