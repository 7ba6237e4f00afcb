// Tests beside the sources run in parallel; most of them need no build (`npm run test:unit`). Tests in test/ mount. They run a few files
// at a time, as each waits for half of its time, and one file at a time if they look at something that all mounts share: `npm test` runs
// these beside tests that mount nothing (packages/dev/tests/vitest-runs.mjs).
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { compiledModules } from "./packages/dev/tests/compiled-modules.mjs";
import { ownMountsPool } from "./packages/dev/tests/own-mounts.mjs";

/**
 * Tests of something that the whole machine shares: caches that others drop, processor time, module parameters, loop devices that are
 * frozen or opened exclusively, and requests that are counted or must be answered soon.
 */
const ALONE = [
  "test/e2e/commands/layers-freed.test.ts",
  "test/e2e/io/cached-pages.test.ts",
  "test/e2e/objects/{cached-listings,large-directories}.test.ts",
  "test/e2e/processes/idle*.test.ts",
  "test/engine/{engine-mount,uring,uring-keeper,uring-switch}.test.ts",
  "test/fault/{backing-side,copy-up-faults,decision-service,slow-disk}.test.ts",
  "test/passthrough/{cached-registrations,revoked-pages,storm}.test.ts",
  "test/run/freeze.test.ts",
  "test/semantics/device.test.ts",
];

/** Of several packages, or of the whole repository. They mount nothing, and so may run beside `ALONE`. */
const MOUNTLESS = [
  "test/architecture/{boundaries,pages,prose,rules-alive,security-page}.test.ts",
  "test/console/{access,caller-work,trouble}.test.ts",
  "test/decision/{authzen,cache-soundness,mutual-tls,nats-policy}.test.ts",
  "test/deploy-files/*.test.ts",
  "test/differential/{explained,documented}-differences.test.ts",
  "test/fuzz/engine-{fuzz,requests}.test.ts",
  "test/release/{glibc,version,workflows}.test.ts",
  "test/semantics/review-docs.test.ts",
  "test/shipped/{caches,loaded,start}.test.ts",
];

/**
 * The longest. They wait for engines, browsers and installers: beside three files that mount they use what these leave of the processors, one
 * file at a time and the longest first. There are so many that they take as long as the others do by three workers.
 */
const LONG = [
  "test/compose/compose.test.ts",
  "test/conformance/conformance.test.ts",
  "test/dropin/podman.test.ts",
  "test/console/pages.test.ts",
  "test/run/forks.test.ts",
  "test/run/by-host-service.test.ts",
  "test/differential/differential.test.ts",
  "test/bench/bench.test.ts",
  "test/release/installed.test.ts",
  "test/portable/conformance.test.ts",
  "test/guides/guides.test.ts",
  "test/conformance/formats.test.ts",
];

/** They start our programs or workers, and so need a build. */
const NEED_PROCESSES = [
  "packages/decision-client/src/restart.test.ts",
  "packages/engine-fuse-native/src/addon/addon.test.ts",
  "packages/policy-backends/src/{asking,content,hostile}.test.ts",
  "packages/policy-backends/src/{cedar,combine,opa-wasm}/*.test.ts",
  "packages/policy-backends/src/source/bundle.test.ts",
  "packages/testkit/src/processes/run-script.test.ts",
  "services/decision/src/{decision-service,hostile-policies,hot-swap,policy-compare,policy-run}.test.ts",
];

/** One more than processors, since a file waits now and then for its programs. */
const WORKERS = availableParallelism() + 1;

/** It looks at the heap of its process, which others fill. */
const OWN_HEAP = ["packages/runtime/src/keep-pauses-short.test.ts"];

/** Minutes of building and installing: `npm run test:soak release`. */
const WHOLE_RELEASE = process.env["SLUICE_SOAK_SECONDS"] === undefined ? ["test/release/whole/**"] : [];

/** `npm test` compiles everything before it begins. */
const IS_COMPILED = process.env["SLUICE_TEST_RUN"] !== undefined;

/** Of the packages' `exports`: elsewhere unit tests import the TypeScript sources, so nothing has to be compiled before them. */
const FROM_SOURCES = IS_COMPILED ? {} : { conditions: ["@sluice/source", "node"] };

/**
 * Limits are for tests that hang. A machine that does much else takes fifteen times as long for a step as an idle one: ten seconds for the
 * start of a mount.
 */
const POLLS = { poll: { timeout: 30_000 } };
const UNIT_LIMIT_MS = 60_000;
const MOUNT_LIMIT_MS = 180_000;

/** Compiled, as the test kit is that these tests import: both share its state. */
const SETUP = "./packages/testkit/dist/file-setup.js";

/** Node loads compiled modules as they are, in half of the time that vitest takes to transform them once more. */
const COMPILED = { deps: { external: [/\/(?:packages|services)\/[^/]+\/dist\//] } };

/** A process for each file would load the same modules some 180 times, which takes longer than many of the tests. */
const SHARED_PROCESS = { pool: ownMountsPool(), isolate: false, setupFiles: [SETUP], server: COMPILED };

/** Some commands use the service at the usual socket by default, and a test beside them may have one there. */
const ENV = { SLUICE_HOST_SERVICE: "off" };

/** They take longest, of those that mount. As the last one each would run alone, and vitest begins with the largest files. */
const FIRST = [
  ...LONG,
  "test/fault/keeper/host-take-over.test.ts",
  "test/e2e/commands/unmount-in-use.test.ts",
  "test/e2e/host-service/user-mount-attacks.test.ts",
  "test/shipped/caches.test.ts",
  "test/e2e/host-service/many-mounts.test.ts",
  "test/fault/keeper/end-of-life.test.ts",
  "test/fault/keeper/upgrade.test.ts",
  "test/fault/bypass/planted-bugs.test.ts",
  "test/fault/keeper/joined-server.test.ts",
  "test/mutants/mutants.test.ts",
  "test/fault/decision-answers.test.ts",
  "test/fault/bypass/revocations.test.ts",
  "test/fault/bypass/names.test.ts",
  "test/csi/soak.test.ts",
  "test/fault/daemon-killed.test.ts",
];

/**
 * They wait for time to pass, some for seconds. vitest would begin with all of them, as they take longest, and leave the processors idle. One
 * after the other they leave these to the other workers. The longest are first.
 */
const WAITING = [
  "packages/decision-client/src/decider.test.ts",
  "packages/decision-client/src/cached-answers.test.ts",
  "packages/policy-backends/src/grpc/grpc.test.ts",
  "services/mount/src/control/control.test.ts",
  "packages/sandbox/src/command-terminal.test.ts",
  "services/decision/src/audit/decision-log.test.ts",
  "services/mount/src/telemetry/server-watch.test.ts",
  "packages/cli/src/embedded/file-watch.test.ts",
];

/** Files that the other workers run meanwhile. */
const BESIDE_WAITING = 10;

/** The place in a list of paths, or behind all of them. */
function placeIn(list: readonly string[], { moduleId }: TestSpecification): number {
  const at = list.findIndex((path) => moduleId.endsWith(path));
  return at < 0 ? list.length : at;
}

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const placed = sorted.toSorted((one, other) => placeIn(FIRST, one) - placeIn(FIRST, other));
    const mixed = placed.filter((file) => placeIn(WAITING, file) === WAITING.length);
    const waiting = placed
      .filter((file) => !mixed.includes(file))
      .toSorted((one, other) => placeIn(WAITING, one) - placeIn(WAITING, other));
    for (const [at, file] of waiting.entries()) mixed.splice(at * (BESIDE_WAITING + 1), 0, file);
    return mixed;
  }
}

const CACHE_KEYS = "exports-in-cache-keys";

/** Cached modules name the files that `exports` of our packages led to when they were transformed. */
function exportsInCacheKeys(): Plugin {
  const packages = ["packages", "services"].flatMap((each) =>
    readdirSync(join(import.meta.dirname, each)).map((name) => join(import.meta.dirname, each, name, "package.json")),
  );
  const hash = createHash("sha256");
  for (const path of packages) if (existsSync(path)) hash.update(readFileSync(path));
  const key = `${hash.digest("hex")}${IS_COMPILED ? " compiled" : ""}`;
  return {
    name: CACHE_KEYS,
    configureVitest({ experimental_defineCacheKeyGenerator: define }) {
      define(() => key);
    },
  };
}

export default defineConfig({
  test: {
    pool: "forks",
    // In node_modules; `npx vitest --clearCache` empties it. Transforming all sources takes a fifth of the processor time of the unit tests.
    experimental: { fsModuleCache: true },
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        resolve: FROM_SOURCES,
        ssr: { resolve: FROM_SOURCES },
        test: {
          name: "unit",
          include: ["packages/*/src/**/*.test.ts", "services/*/src/**/*.test.ts"],
          exclude: [...NEED_PROCESSES, ...OWN_HEAP],
          // Files share a process: half of the time goes into loading the same modules otherwise.
          isolate: false,
          setupFiles: [`./packages/testkit/${IS_COMPILED ? "dist/file-clean-up.js" : "src/file-clean-up.ts"}`],
          ...(IS_COMPILED ? { server: COMPILED } : {}),
          maxWorkers: WORKERS,
          expect: POLLS,
          testTimeout: UNIT_LIMIT_MS,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "processes",
          include: NEED_PROCESSES,
          isolate: false,
          setupFiles: ["./packages/testkit/dist/file-clean-up.js", "./packages/testkit/dist/policies/held-cedar.js"],
          server: COMPILED,
          maxWorkers: WORKERS,
          expect: POLLS,
          testTimeout: UNIT_LIMIT_MS,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "own-heap",
          include: OWN_HEAP,
          server: COMPILED,
          maxWorkers: WORKERS,
          expect: POLLS,
          testTimeout: UNIT_LIMIT_MS,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "mountless",
          include: MOUNTLESS,
          maxWorkers: WORKERS,
          expect: POLLS,
          testTimeout: MOUNT_LIMIT_MS,
          hookTimeout: MOUNT_LIMIT_MS,
          sequence: { groupOrder: 0 },
          env: ENV,
          ...SHARED_PROCESS,
        },
      },
      {
        test: {
          name: "mount-pairs",
          include: ["test/**/*.test.ts"],
          exclude: [...ALONE, ...MOUNTLESS, ...LONG, ...WHOLE_RELEASE],
          // More than the processors of a small machine: they wait for timers, for the disk and for each other's ends.
          maxWorkers: 3,
          expect: POLLS,
          testTimeout: MOUNT_LIMIT_MS,
          hookTimeout: MOUNT_LIMIT_MS,
          sequence: { groupOrder: 1 },
          env: ENV,
          ...SHARED_PROCESS,
        },
      },
      {
        test: {
          name: "mount-long",
          include: LONG,
          fileParallelism: false,
          maxWorkers: 1,
          expect: POLLS,
          testTimeout: MOUNT_LIMIT_MS,
          // The conformance suite removes some 340 trees in one hook.
          hookTimeout: 300_000,
          sequence: { groupOrder: 2 },
          env: ENV,
          ...SHARED_PROCESS,
        },
      },
      {
        test: {
          name: "mount",
          include: ALONE,
          fileParallelism: false,
          maxWorkers: 1,
          expect: POLLS,
          testTimeout: MOUNT_LIMIT_MS,
          hookTimeout: MOUNT_LIMIT_MS,
          sequence: { groupOrder: 3 },
          env: ENV,
          ...SHARED_PROCESS,
        },
      },
      // The tests that io_uring is most likely to break. `SLUICE_TRANSPORT=uring npm test -- …` runs any other by it.
      {
        test: {
          name: "uring",
          include: ["test/engine/engine-mount.test.ts", "test/e2e/io/mediated-io.test.ts", "test/fault/interrupts.test.ts"],
          env: { ...ENV, SLUICE_TRANSPORT: "uring" },
          fileParallelism: false,
          maxWorkers: 1,
          expect: POLLS,
          testTimeout: MOUNT_LIMIT_MS,
          hookTimeout: MOUNT_LIMIT_MS,
          sequence: { groupOrder: 4 },
          ...SHARED_PROCESS,
        },
      },
    ].map((project) => ({ ...project, plugins: [exportsInCacheKeys(), ...(IS_COMPILED ? [compiledModules()] : [])] })),
  },
});
