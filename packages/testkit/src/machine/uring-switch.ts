// FUSE over io_uring is off in a kernel until root turns it on, for all later mounts. Tests that need it turn it on for as
// short as they can, and restore the setting.
import { readFileSync, writeFileSync } from "node:fs";
import { native } from "@sluice/native";

const PARAMETER = "/sys/module/fuse/parameters/enable_uring";

/** Tells whether tests can use it: a kernel that knows it, the right to turn it on, and to create rings. */
export function uringCanBeHad(): boolean {
  try {
    writeFileSync(PARAMETER, readFileSync(PARAMETER, "latin1"));
  } catch {
    return false;
  }
  const fuseFd = native.fuseOpen();
  const ring = fuseFd < 0 ? fuseFd : native.fuseRing(fuseFd, 1, 4096);
  if (fuseFd >= 0) native.close(fuseFd);
  if (typeof ring === "number") return false;
  ring.close();
  return true;
}

/** Turns it on or off; the result restores the old setting. */
export function switchUring(on: boolean): () => void {
  const before = readFileSync(PARAMETER, "latin1");
  writeFileSync(PARAMETER, on ? "Y" : "N");
  return () => writeFileSync(PARAMETER, before);
}
