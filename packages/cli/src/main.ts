/** The `sluice` command. */
import { writeSync } from "node:fs";
import { codeOf, EXIT, errorLine, failed, runCli } from "@sluice/runtime/cli";
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
/** Somebody waits for the end of these, and they have loaded the addon. */
const AWAITED = new Set(["run", "user-mount", "user-server"]);

const STDOUT = 1;

/** Standard output, once this command has used it. Node takes some milliseconds to open it, and not every command writes there. */
let output: NodeJS.WriteStream | undefined;

function endWithReader(stream: NodeJS.WriteStream): NodeJS.WriteStream {
  return stream.on("error", (error: NodeJS.ErrnoException) => {
    // The reader is gone, or the terminal (EIO): the command ends, as with SIGPIPE.
    if (error.code === "EPIPE" || error.code === "EIO") process.exit(1);
    throw error;
  });
}

/** A file takes as much as its disk has room for. Node takes that for the whole, and tells of an error only after the end of most commands. */
function writeWhole(stream: NodeJS.WriteStream): NodeJS.WriteStream {
  stream._write = (chunk: Uint8Array, _encoding, done) => {
    try {
      for (let at = 0; at < chunk.length; ) at += writeSync(STDOUT, chunk, at);
    } catch (error) {
      const { message } = failed("standard output", `it cannot be written (${codeOf(error)})`, "check the room on its disk");
      process.stderr.write(errorLine(message));
      process.exit(EXIT.FAILED);
    }
    done();
  };
  return stream;
}

/** It is a socket or a terminal, which are read, too, or else a file. */
const isFile = (stream: NodeJS.WriteStream): boolean => !("read" in stream);

function watched(stream: NodeJS.WriteStream): NodeJS.WriteStream {
  return isFile(stream) ? writeWhole(stream) : endWithReader(stream);
}

if (!SERVING.has(process.argv[2] ?? "")) {
  const opened = Object.getOwnPropertyDescriptor(process, "stdout")?.get;
  const get = (): NodeJS.WriteStream => (output ??= watched(opened?.call(process) as NodeJS.WriteStream));
  if (opened !== undefined) Object.defineProperty(process, "stdout", { configurable: true, enumerable: true, get });
}

if (process.argv[2] === undefined) {
  process.stderr.write(FIRST_STEPS);
  process.exit(EXIT.USAGE);
}
// No other command waits for the module of Node that this takes.
if (SERVING_MOUNTS.has(process.argv[2] ?? "")) (await import("@sluice/runtime/short-pauses")).keepPausesShort();
const code = await runCli(await buildProgram(process.argv[2]));
// Writes to a socket, such as the standard output of a child of Node, wait in this process if its reader is slow. A server does not wait.
if (!SERVING.has(process.argv[2] ?? ""))
  for (const stream of [output, process.stderr])
    if (stream !== undefined && stream.writableLength > 0) await new Promise((resolve) => stream.write("", resolve));
if (AWAITED.has(process.argv[2] ?? "")) (await import("@sluice/native")).leaveNow(code);
// Nobody needs the handles that still hold the event loop, such as a gRPC channel that is closing.
process.exit(code);
