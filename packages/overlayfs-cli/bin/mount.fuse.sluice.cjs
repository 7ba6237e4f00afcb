#!/usr/bin/env node
// What mount(8) runs for `mount -t fuse.sluice`. Only a name: everything is in src/.
"use strict";
const { start } = require("../../runtime/bin/start.cjs");

void start("packages/overlayfs-cli/dist/mount-helper-main.js", () => import("../dist/mount-helper-main.js"));
