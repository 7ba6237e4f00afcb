/** Standard output of a command that ends: nothing of it is lost without an error, and a reader that leaves ends the command. */
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

/**
 * From now on. Node takes some milliseconds to open standard output, and not every command writes there.
 * @returns the stream, once the command has used it
 */
export function watchOutput(): () => NodeJS.WriteStream | undefined {
  let output: NodeJS.WriteStream | undefined;
  const opened = Object.getOwnPropertyDescriptor(process, "stdout")?.get;
  const watched = (stream: NodeJS.WriteStream): NodeJS.WriteStream => (isFile(stream) ? writeWhole(stream) : endWithReader(stream));
  const get = (): NodeJS.WriteStream => (output ??= watched(opened?.call(process) as NodeJS.WriteStream));
  if (opened !== undefined) Object.defineProperty(process, "stdout", { configurable: true, enumerable: true, get });
  return () => output;
}
