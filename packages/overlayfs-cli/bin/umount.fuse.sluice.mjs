#!/usr/bin/env node
// What umount(8) runs for a mount of type fuse.sluice. Only a name: everything is in dist/.
import "../dist/umount-helper-main.js";
