// A mount namespace for each worker of vitest whose tests mount. A namespace that a program makes, as every session does, begins with a copy
// of each mount that its maker sees. A mount with a copy ends later: its server waits for the copy, and looks for users in all processes. In
// its own namespace a test file sees no mounts of the files beside it, and its namespaces copy none of them.
import { spawnSync } from "node:child_process";
import { ForksPoolWorker } from "vitest/node";

const NAME = "own-mounts";
const UNSHARE = "unshare";
/** Mounts outside of the scratch directory stay as shared as they are. */
const WORDS = ["--mount", "--propagation", "unchanged", "--"];

class OwnMountsWorker extends ForksPoolWorker {
  /** @override */
  name = NAME;

  /** @param {import("vitest/node").PoolOptions} options */
  constructor(options) {
    super(options);
    this.execArgv = [...WORDS, process.execPath, ...this.execArgv];
    // packages/testkit/src/mounts/left-mounts.ts looks at what a file leaves there.
    this.env = { ...this.env, SLUICE_TEST_OWN_MOUNTS: "yes" };
  }

  /** @override */
  start() {
    const node = process.execPath;
    // The only way to have child_process.fork() start another program; it has started when the call returns.
    process.execPath = UNSHARE;
    try {
      return super.start();
    } finally {
      process.execPath = node;
    }
  }
}

/** For `pool` of vitest: plain processes if this user may make no mount namespace. */
export function ownMountsPool() {
  const may = process.geteuid?.() === 0 && spawnSync(UNSHARE, ["--mount", "true"], { stdio: "ignore" }).status === 0;
  return may
    ? { name: NAME, createPoolWorker: (/** @type {import("vitest/node").PoolOptions} */ options) => new OwnMountsWorker(options) }
    : "forks";
}
