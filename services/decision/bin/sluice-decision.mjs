#!/usr/bin/env node
// Runs the built service; the reason for this file is that npm links a bin before anything is built.
import { start } from "../../../packages/runtime/bin/start.mjs";

await start("services/decision/dist/main.js", () => import("../dist/main.js"));
