#!/usr/bin/env node
// The drop-in for fuse-overlayfs. Only a name: everything is in dist/.
import "../dist/overlayfs-main.js";
