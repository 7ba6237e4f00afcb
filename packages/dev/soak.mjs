// `npm run test:soak [NAME…]`: tests that get better with time, one after the other, each as long as SLUICE_SOAK_SECONDS
// says (default 1800). Whatever they draw at random, they print the seed that repeats it. Ends with 1 if one fails.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { root } from "./build.mjs";

/** Names, and the tests that ask `soakBudgetMs` of @sluice/testkit how long they may go on. */
const SOAKS = /** @type {const} */ ({
  bench: ["test/bench/bench.test.ts"],
  bypass: ["test/fault/bypass"],
  cache: ["test/decision/cache-soundness.test.ts"],
  compose: ["test/compose"],
  conformance: ["test/conformance/conformance.test.ts", "test/portable/conformance.test.ts"],
  console: ["test/console/pages.test.ts"],
  counts: ["test/e2e/policy/seen-denials.test.ts"],
  csi: ["test/csi/soak.test.ts"],
  "direct-writes": ["test/e2e/io/direct-writes.test.ts"],
  differential: ["test/differential/differential.test.ts"],
  exercisers: ["test/fault/exercisers"],
  failures: ["test/fault/failed-changes.test.ts"],
  mutants: ["test/mutants"],
  podman: ["test/dropin/podman.test.ts"],
  release: ["test/release"],
  restacked: ["test/e2e/layers/restacked-work.test.ts"],
  sessions: ["test/run"],
  storm: ["test/passthrough/storm.test.ts"],
  "take-over": ["test/fault/take-over", "test/fault/keeper/host-take-over.test.ts", "test/fault/keeper/end-of-life.test.ts"],
});

const DEFAULT_SECONDS = 1800;
/** Beyond the budget itself: mounting, shrinking what was found, and taking down. */
const SPARE_SECONDS = 900;

const known = Object.keys(SOAKS);
const wanted = process.argv.slice(2);
const strange = wanted.filter((name) => !known.includes(name));
if (strange.length > 0) {
  console.error(`no soak of that name: ${strange.join(", ")}; there are ${known.join(", ")}`);
  process.exit(2);
}
const seconds = Number(process.env["SLUICE_SOAK_SECONDS"] ?? DEFAULT_SECONDS);

/** @param {string} name */
function soak(name) {
  const tests = SOAKS[/** @type {keyof typeof SOAKS} */ (name)];
  console.log(`\nsoak ${name}: ${seconds} s`);
  const env = { ...process.env, SLUICE_SOAK_SECONDS: String(seconds), SLUICE_TEST_LIMIT_SECONDS: String(seconds + SPARE_SECONDS) };
  return spawnSync(process.execPath, [join(root, "packages/dev/test.mjs"), ...tests], { cwd: root, env, stdio: "inherit" }).status === 0;
}

const failed = (wanted.length > 0 ? wanted : known).filter((name) => !soak(name));
console.log(failed.length > 0 ? `\nsoak: ${failed.join(", ")} failed` : "\nsoak: nothing found");
process.exitCode = failed.length > 0 ? 1 : 0;
