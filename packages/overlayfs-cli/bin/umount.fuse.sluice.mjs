#!/usr/bin/env node
// What umount(8) runs for a mount of type fuse.sluice. Only a name: everything is in src/.
import { start } from "../../runtime/bin/start.mjs";

await start("packages/overlayfs-cli/dist/umount-helper-main.js", () => import("../dist/umount-helper-main.js"));
