#!/usr/bin/env node
// The `sluice` command. Only a name: everything is in src/main.ts.
import { start } from "../../runtime/bin/start.mjs";

await start("packages/cli/dist/main.js", () => import("../dist/main.js"));
