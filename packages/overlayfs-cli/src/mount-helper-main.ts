/** `mount.fuse.sluice`: mount(8) passes its arguments on to it, and returns its exit code. */
import { EXIT } from "@sluice/runtime/cli";
import { parseMountHelper } from "./invocation.js";
import { run } from "./run.js";

/** mount(8): "incorrect invocation or permissions", and "mount failure". */
const MOUNT_USAGE = 1;
const MOUNT_FAILURE = 32;

await run(
  () => parseMountHelper(process.argv.slice(2)),
  (code) => (code === EXIT.USAGE ? MOUNT_USAGE : code === EXIT.DONE ? 0 : MOUNT_FAILURE),
);
