/**
 * The process that serves a mount in the background. Arguments: LOGFILE, then those of `sluice mount`. It writes to descriptor 3 when it
 * serves. By then it has closed all inherited descriptors, so that a reader at the other end gets the end of file.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { native } from "@sluice/native";
import { keepPausesShort } from "@sluice/runtime/short-pauses";

const STDERR = 2;
const READY_FD = 3;

/** The duplicate is close-on-exec: other descriptors count as left open by mistake. */
function takeReadyPipe(): number {
  const fd = native.dupfd(READY_FD);
  native.close(READY_FD);
  return fd;
}

function letGoOfParent(ready: number, logFile: string): void {
  const fd = openSync(logFile, "a", 0o640);
  // The last words of a crashing Node go there too.
  native.dup2(fd, STDERR);
  closeSync(fd);
  if (ready < 0) return;
  try {
    writeSync(ready, "live\n");
  } catch {
    // The parent was killed; the mount continues.
  }
  closeSync(ready);
}

keepPausesShort();
const { keepLeastPrivilege } = await import("@sluice/service-mount");
// First: it starts this program again, with the descriptor that is still open.
keepLeastPrivilege(READY_FD + 1);
const ready = takeReadyPipe();
const [logFile = "/dev/null", ...argv] = process.argv.slice(2);
const { serve } = await import("./serve.js");
process.exit(await serve([`--log-file=${logFile}`, ...argv], () => letGoOfParent(ready, logFile)));
