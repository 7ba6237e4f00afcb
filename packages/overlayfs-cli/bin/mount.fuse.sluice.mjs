#!/usr/bin/env node
// What mount(8) runs for `mount -t fuse.sluice`. Only a name: everything is in src/.
import { start } from "../../runtime/bin/start.mjs";

await start("packages/overlayfs-cli/dist/mount-helper-main.js", () => import("../dist/mount-helper-main.js"));
