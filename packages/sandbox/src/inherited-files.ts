/** Closes the open files that this process has inherited beside the standard streams: a directory among them would lead out of the sandbox. */
import { readdirSync } from "node:fs";
import { native } from "@sluice/native";

const LAST_STREAM = 2;

/** All files that this program opens itself are close-on-exec. That of the listing is closed by then. */
export function closeInherited(): void {
  for (const fd of readdirSync("/proc/self/fd").map(Number)) {
    if (fd > LAST_STREAM && native.descriptorFlags(fd) === 0) native.close(fd);
  }
}
