// Loaded by a daemon before anything else (node --import): patches planted bugs into modules as they are read. The files on
// disk do not change, and the tested code does not know of it.
import { register } from "node:module";

register("./patch-hooks-process.mjs", { parentURL: import.meta.url, data: JSON.parse(process.env["SLUICE_MUTANT"] ?? "[]") });
