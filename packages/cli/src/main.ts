/** The `sluice` command. */
import { keepPausesShort, runCli } from "@sluice/runtime/cli";
import { buildProgram } from "./program.js";

/** These serve whether or not anybody reads what they say. */
const SERVING = new Set(["mount", "keeper", "mount-server", "decision", "volume-plugin"]);
/** These answer the kernel. */
const SERVING_MOUNTS = new Set(["mount", "mount-server"]);

if (!SERVING.has(process.argv[2] ?? "")) {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    // Whoever read has gone, or the terminal (EIO): there is nothing more to say, as with SIGPIPE.
    if (error.code === "EPIPE" || error.code === "EIO") process.exit(1);
    throw error;
  });
}

if (SERVING_MOUNTS.has(process.argv[2] ?? "")) keepPausesShort();
const code = await runCli(await buildProgram(process.argv[2]));
// What still holds the event loop (a gRPC channel that is closing) is of no use to anybody any more.
process.exit(code);
