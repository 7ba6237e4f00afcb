/**
 * Standard output of a command that ends: nothing of it is lost without an error, and a reader that leaves ends the command. A line that standard
 * error does not take ends no work: the exit code tells of it.
 */
import { writeSync } from "node:fs";
import { codeOf, EXIT, errorLine, failed } from "../cli-error.js";

const STDOUT = 1;

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

/** Calls `watch` with the stream when the command uses it for the first time. @returns the stream, once the command has used it */
function whenUsed(
  name: "stdout" | "stderr",
  watch: (stream: NodeJS.WriteStream) => NodeJS.WriteStream,
): () => NodeJS.WriteStream | undefined {
  let used: NodeJS.WriteStream | undefined;
  const opened = Object.getOwnPropertyDescriptor(process, name)?.get;
  const get = (): NodeJS.WriteStream => (used ??= watch(opened?.call(process) as NodeJS.WriteStream));
  if (opened !== undefined) Object.defineProperty(process, name, { configurable: true, enumerable: true, get });
  return () => used;
}

/**
 * From now on. Node takes some milliseconds to open a stream, and not every command writes there.
 * @returns standard output, once the command has used it, and whether a line for standard error was lost
 */
export function watchOutput(): { output: () => NodeJS.WriteStream | undefined; hasLostLines: () => boolean } {
  let lost = false;
  whenUsed("stderr", (stream) => stream.on("error", () => (lost = true)));
  const output = whenUsed("stdout", (stream) => (isFile(stream) ? writeWhole(stream) : endWithReader(stream)));
  return { output, hasLostLines: () => lost };
}
