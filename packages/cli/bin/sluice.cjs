#!/usr/bin/env node
// The `sluice` command. Only a name: everything is in src/main.ts.
"use strict";
const { start } = require("../../runtime/bin/start.cjs");

void start("packages/cli/dist/main.js", () => import("../dist/main.js"));
