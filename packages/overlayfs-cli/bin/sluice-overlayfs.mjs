#!/usr/bin/env node
// The drop-in for fuse-overlayfs. Only a name: everything is in src/.
import { start } from "../../runtime/bin/start.mjs";

await start("packages/overlayfs-cli/dist/overlayfs-main.js", () => import("../dist/overlayfs-main.js"));
