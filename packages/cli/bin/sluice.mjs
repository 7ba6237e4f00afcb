#!/usr/bin/env node
// The `sluice` command. Only a name: everything is in dist/main.js.
import "../dist/main.js";
