// Before each test file: PATH holds what tests may call; with SLUICE_TRANSPORT=uring every mount is to be served by io_uring.
import { afterAll } from "vitest";
import { watchPrograms } from "./machine/programs.js";
import { switchUring, uringCanBeHad } from "./machine/uring-switch.js";

watchPrograms();
if (process.env["SLUICE_TRANSPORT"] === "uring" && uringCanBeHad()) afterAll(switchUring(true));
