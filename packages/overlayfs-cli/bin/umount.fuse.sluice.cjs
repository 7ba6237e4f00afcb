#!/usr/bin/env node
// What umount(8) runs for a mount of type fuse.sluice. Only a name: everything is in src/.
"use strict";
const { start } = require("../../runtime/bin/start.cjs");

void start("packages/overlayfs-cli/dist/umount-helper-main.js", () => import("../dist/umount-helper-main.js"));
