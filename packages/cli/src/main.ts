/** The `sluice` command. */
import { EXIT, runCli, watchOutput } from "@sluice/runtime/cli";
import { FIRST_STEPS } from "./first-steps.js";
import { buildProgram } from "./program.js";

/** These commands serve, even if nobody reads their output. */
const SERVING = new Set([
  "mount",
  "keeper",
  "mount-server",
  "user-mount",
  "user-server",
  "serve",
  "host-server",
  "decision",
  "csi",
  "volume-plugin",
]);
/** These commands answer the kernel. */
const SERVING_MOUNTS = new Set(["mount", "mount-server", "user-server", "serve", "host-server"]);
/** Somebody waits for the end of these, or a thread of theirs may hang in a mount; and they have loaded the addon. */
const AWAITED = new Set(["run", "user-mount", "user-server", "explain"]);

const LAST_WORDS_MS = 1_000;

const HELP = new Set(["--help", "-h"]);
const serves = SERVING.has(process.argv[2] ?? "") && !process.argv.some((word) => HELP.has(word));
const watched = serves ? undefined : watchOutput();

if (process.argv[2] === undefined) {
  process.stderr.write(FIRST_STEPS);
  process.exit(EXIT.USAGE);
}
// No other command waits for the module of Node that this takes.
if (SERVING_MOUNTS.has(process.argv[2] ?? "")) (await import("@sluice/runtime/short-pauses")).keepPausesShort();
let lastWords = "";
const keepWords = (text: string): void => {
  lastWords += text;
};
const result = await runCli(await buildProgram(process.argv[2]), process.argv, serves ? keepWords : undefined);
// A server ends although nobody reads its standard error.
if (lastWords !== "") await (await import("@sluice/runtime/stderr")).tellStderrLast(lastWords, LAST_WORDS_MS);
// Writes to a socket, such as the standard output of a child of Node, wait in this process if its reader is slow. A server does not wait.
if (!serves)
  for (const stream of [watched?.output(), process.stderr])
    if (stream !== undefined && stream.writableLength > 0) await new Promise((resolve) => stream.write("", resolve));
const code = result === EXIT.DONE && watched?.hasLostLines() === true ? EXIT.FAILED : result;
if (AWAITED.has(process.argv[2] ?? "")) (await import("@sluice/native")).leaveNow(code);
// Nobody needs the handles that still hold the event loop, such as a gRPC channel that is closing.
process.exit(code);
