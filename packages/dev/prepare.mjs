// npm's `prepare` step: `npm ci` ends here. The addon was built before, by packages/native's own install script.
import { buildBundle, buildTypescript, typescriptCli } from "./build.mjs";

if (!typescriptCli()) {
  console.log("sluice: development dependencies are left out, so dist/ is not built; bring it along, or run `npm ci` without --omit=dev");
} else if (!buildTypescript() || !buildBundle()) {
  console.error("sluice: the build failed; its messages are above");
  process.exit(1);
}
