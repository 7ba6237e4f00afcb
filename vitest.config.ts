// Tests beside the sources run in parallel; most of them need no build (`npm run test:unit`). Tests in test/ mount, and run one
// file at a time, since they share the machine's mount table, loop devices and processors. The long ones among them that share
// only processors run in pairs.
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Neither loop devices nor module parameters, nothing counted, timed or cached that another mount or dropped caches would change. */
const PAIRED = [
  "test/architecture/*.test.ts",
  "test/compose/**/*.test.ts",
  "test/conformance/**/*.test.ts",
  "test/console/*.test.ts",
  "test/decision/{asking,content-facts,hidden-names,mutual-tls,nats-policy}.test.ts",
  "test/deploy-files/*.test.ts",
  "test/dropin/{command-line,owners,podman,shown-marks,young-generation}.test.ts",
  "test/e2e/commands/!(layers-freed).test.ts",
  "test/e2e/layers/*.test.ts",
  "test/e2e/policy/*.test.ts",
  "test/fault/{creation-killed,daemon-killed,decision-answers,volatile-errors}.test.ts",
  "test/fault/bypass/**/*.test.ts",
  "test/fault/exercisers/*.test.ts",
  "test/fault/keeper/!(joined-server).test.ts",
  "test/fault/take-over/*.test.ts",
  "test/fuzz/*.test.ts",
  "test/monitoring/*.test.ts",
  "test/mutants/**/*.test.ts",
  "test/operator/*.test.ts",
  "test/passthrough/{attributes,explained-mode,locks,mode-table,obligations}.test.ts",
  "test/portable/{conformance,limits,serving}.test.ts",
  "test/release/*.test.ts",
  "test/run/!(freeze).test.ts",
  "test/tracing/*.test.ts",
  "test/volume-plugin/*.test.ts",
];

/** They start our programs or workers, and so need a build; the last one needs a heap of its own. */
const NEED_PROCESSES = [
  "packages/decision-client/src/restart.test.ts",
  "packages/engine-fuse-native/src/addon/addon.test.ts",
  "packages/policy-backends/src/{asking,content,hostile}.test.ts",
  "packages/policy-backends/src/{cedar,combine,opa-wasm}/*.test.ts",
  "packages/policy-backends/src/source/bundle.test.ts",
  "packages/testkit/src/processes/run-script.test.ts",
  "services/decision/src/{decision-service,hostile-policies,hot-swap,policy-compare,policy-run}.test.ts",
  "packages/runtime/src/keep-pauses-short.test.ts",
];

/** Minutes of building and installing: `npm run test:soak release`. */
const WHOLE_RELEASE = process.env["SLUICE_SOAK_SECONDS"] === undefined ? ["test/release/whole/**"] : [];

/** Of the packages' `exports`: tests import the TypeScript sources, so nothing has to be compiled before them. */
const FROM_SOURCES = { conditions: ["@sluice/source", "node"] };

/** The default of one second is too short for a busy machine. */
const POLLS = { poll: { timeout: 15_000 } };

/** Compiled, as the test kit is that these tests import: both share its state. */
const SETUP = "./packages/testkit/dist/file-setup.js";

/** A process for each file would load the same modules some 180 times, which takes longer than many of the tests. */
const SHARED_PROCESS = { isolate: false, setupFiles: [SETUP] };

/** It takes minutes, most of which it waits. As the last one of a pair it would wait alone. */
const FIRST = "test/compose/compose.test.ts";

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isFirst = ({ moduleId }: TestSpecification): boolean => moduleId.endsWith(FIRST);
    return [...sorted.filter(isFirst), ...sorted.filter((file) => !isFirst(file))];
  }
}

export default defineConfig({
  test: {
    pool: "forks",
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        resolve: FROM_SOURCES,
        ssr: { resolve: FROM_SOURCES },
        test: {
          name: "unit",
          include: ["packages/*/src/**/*.test.ts", "services/*/src/**/*.test.ts"],
          exclude: NEED_PROCESSES,
          // Files share a process: half of the time goes into loading the same modules otherwise.
          isolate: false,
          setupFiles: ["./packages/testkit/src/file-clean-up.ts"],
          maxWorkers: "100%",
          expect: POLLS,
          testTimeout: 20_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "processes",
          include: NEED_PROCESSES,
          maxWorkers: "100%",
          expect: POLLS,
          testTimeout: 20_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "mount-pairs",
          include: PAIRED,
          maxWorkers: 2,
          expect: POLLS,
          testTimeout: 60_000,
          // The conformance suite removes some 340 trees in one hook.
          hookTimeout: 300_000,
          sequence: { groupOrder: 1 },
          ...SHARED_PROCESS,
        },
      },
      {
        test: {
          name: "mount",
          include: ["test/**/*.test.ts"],
          exclude: [...PAIRED, ...WHOLE_RELEASE],
          fileParallelism: false,
          maxWorkers: 1,
          expect: POLLS,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 2 },
          ...SHARED_PROCESS,
        },
      },
      // The tests that io_uring is most likely to break. `SLUICE_TRANSPORT=uring npm test -- …` runs any other by it.
      {
        test: {
          name: "uring",
          include: ["test/engine/engine-mount.test.ts", "test/e2e/io/mediated-io.test.ts", "test/fault/interrupts.test.ts"],
          env: { SLUICE_TRANSPORT: "uring" },
          fileParallelism: false,
          maxWorkers: 1,
          expect: POLLS,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 3 },
          ...SHARED_PROCESS,
        },
      },
    ],
  },
});
