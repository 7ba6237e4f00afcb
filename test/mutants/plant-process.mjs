// Loaded by a daemon before anything else (node --import): puts planted bugs into modules as they are read. Nothing on
// the disk changes, and the tested code knows nothing of it.
import { register } from "node:module";

register("./patch-hooks-process.mjs", { parentURL: import.meta.url, data: JSON.parse(process.env["SLUICE_MUTANT"] ?? "[]") });
