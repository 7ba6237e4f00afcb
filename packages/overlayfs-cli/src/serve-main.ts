/**
 * The process that serves a mount in the background: LOGFILE, then the arguments of `sluice mount`. Descriptor 3 is told
 * when it is live; by then nothing that its parent gave it is open any more, so whoever waits for an end of file gets it.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { native } from "@sluice/native";
import { keepPausesShort } from "@sluice/runtime/cli";

const STDERR = 2;
const READY_FD = 3;

/** Close-on-exec from here on: what is not would count as left open by mistake. */
function takeReadyPipe(): number {
  const fd = native.dupfd(READY_FD);
  native.close(READY_FD);
  return fd;
}

function letGoOfParent(ready: number, logFile: string): void {
  const fd = openSync(logFile, "a", 0o640);
  // What Node itself says when it dies goes there, too.
  native.dup2(fd, STDERR);
  closeSync(fd);
  if (ready < 0) return;
  try {
    writeSync(ready, "live\n");
  } catch {
    // The parent was killed: the mount is there all the same.
  }
  closeSync(ready);
}

keepPausesShort();
const { keepLeastPrivilege } = await import("@sluice/service-mount");
// First: it starts this program anew, with the descriptor that is still open to it.
keepLeastPrivilege(READY_FD + 1);
const ready = takeReadyPipe();
const [logFile = "/dev/null", ...argv] = process.argv.slice(2);
const { serve } = await import("./serve.js");
process.exit(await serve([`--log-file=${logFile}`, ...argv], () => letGoOfParent(ready, logFile)));
