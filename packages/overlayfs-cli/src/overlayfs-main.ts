/** `sluice-overlayfs`: the command line of fuse-overlayfs. */
import { parseOverlayfs } from "./invocation.js";
import { run } from "./run.js";

await run(
  () => parseOverlayfs(process.argv.slice(2)),
  (code) => code,
);
