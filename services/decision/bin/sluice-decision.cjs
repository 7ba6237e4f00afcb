#!/usr/bin/env node
// Runs the built service; the reason for this file is that npm links a bin before anything is built.
"use strict";
const { start } = require("../../../packages/runtime/bin/start.cjs");

void start("services/decision/dist/main.js", () => import("../dist/main.js"));
