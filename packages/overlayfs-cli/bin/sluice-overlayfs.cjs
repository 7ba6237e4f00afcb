#!/usr/bin/env node
// The drop-in for fuse-overlayfs. Only a name: everything is in src/.
"use strict";
const { start } = require("../../runtime/bin/start.cjs");

void start("packages/overlayfs-cli/dist/overlayfs-main.js", () => import("../dist/overlayfs-main.js"));
