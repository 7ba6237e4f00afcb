// Before each test file: PATH holds what tests may call; with SLUICE_TRANSPORT=uring every mount is to be served by io_uring. After it,
// its clean-up runs: files share a process, and only the first of them loads clean-up.ts.
import { afterAll } from "vitest";
import { undoOfFile } from "./clean-up.js";
import { watchPrograms } from "./machine/programs.js";
import { refuseLeftMounts } from "./mounts/left-mounts.js";
import { switchUring, uringCanBeHad } from "./machine/uring-switch.js";

watchPrograms();
if (process.env["SLUICE_TRANSPORT"] === "uring" && uringCanBeHad()) afterAll(switchUring(true));
// Behind all clean-up: hooks run in the reverse order.
afterAll(refuseLeftMounts);
afterAll(undoOfFile);
