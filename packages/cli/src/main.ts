/** The `sluice` command. */
import { runCli } from "@sluice/runtime";
import { buildProgram } from "./program.js";

const code = await runCli(await buildProgram(process.argv[2]));
// What still holds the event loop (a gRPC channel that is closing) is of no use to anybody any more.
process.exit(code);
