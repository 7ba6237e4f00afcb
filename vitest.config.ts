// Three kinds of tests: those beside the sources, which need nothing and run side by side; those in test/, which mount, one
// file at a time, since they share the machine's mount table, loop devices and processors; and, of these, the long ones that
// share no more than processors, two at a time.
import { defineConfig } from "vitest/config";

/** Neither loop devices nor module parameters, nothing counted or timed that another mount would change. */
const PAIRED = [
  "test/conformance/**/*.test.ts",
  "test/dropin/{command-line,owners}.test.ts",
  "test/e2e/{attacks,cli-bad-input,cli-lifecycle,denials,explain,policy-edit,unasked}.test.ts",
  "test/fault/bypass/**/*.test.ts",
  "test/mutants/**/*.test.ts",
  "test/portable/conformance.test.ts",
];

const SETUP = "./packages/testkit/src/file-setup.ts";

export default defineConfig({
  test: {
    pool: "forks",
    projects: [
      {
        test: {
          name: "unit",
          include: ["packages/*/src/**/*.test.ts", "services/*/src/**/*.test.ts"],
          testTimeout: 20_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "mount-pairs",
          include: PAIRED,
          maxWorkers: 2,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
          setupFiles: [SETUP],
        },
      },
      {
        test: {
          name: "mount",
          include: ["test/**/*.test.ts"],
          exclude: PAIRED,
          fileParallelism: false,
          maxWorkers: 1,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 2 },
          setupFiles: [SETUP],
        },
      },
      // What is most likely to differ where requests come by io_uring. `SLUICE_TRANSPORT=uring npm test -- …` runs any other so.
      {
        test: {
          name: "uring",
          include: ["test/engine/engine-mount.test.ts", "test/e2e/mediated-io.test.ts", "test/fault/interrupts.test.ts"],
          env: { SLUICE_TRANSPORT: "uring" },
          fileParallelism: false,
          maxWorkers: 1,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 3 },
          setupFiles: [SETUP],
        },
      },
    ],
  },
});
