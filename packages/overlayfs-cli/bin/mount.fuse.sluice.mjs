#!/usr/bin/env node
// What mount(8) runs for `mount -t fuse.sluice`. Only a name: everything is in dist/.
import "../dist/mount-helper-main.js";
