#!/usr/bin/env node
// Runs the built service; the reason for this file is that npm links a bin before anything is built.
import "../dist/main.js";
