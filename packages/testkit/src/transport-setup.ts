// Before each test file: with SLUICE_TRANSPORT=uring every mount of it is to be served by io_uring.
import { afterAll } from "vitest";
import { switchUring, uringCanBeHad } from "./uring-switch.js";

if (process.env["SLUICE_TRANSPORT"] === "uring" && uringCanBeHad()) afterAll(switchUring(true));
